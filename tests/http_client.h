#pragma once

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace covey::testing {

struct Answered {
  unsigned status = 0;
  std::string body, content_type, retry_after;
};

/// A blocking HTTP/1.1 client for loopback, one connection, kept alive. Nothing is returned when
/// the connection broke.
class HttpClient {
 public:
  explicit HttpClient(unsigned short port) : stream_(*io_) {
    boost::system::error_code error;
    stream_.socket().connect({boost::asio::ip::make_address("127.0.0.1"), port}, error);
    ok_ = !error;
  }

  bool ok() const { return ok_; }

  std::optional<Answered> request(boost::beast::http::verb verb, std::string_view target,
                                  std::string body = {},
                                  std::vector<std::pair<std::string, std::string>> fields = {}) {
    namespace http = boost::beast::http;
    if (!ok_) return std::nullopt;
    http::request<http::string_body> request{verb, {target.data(), target.size()}, 11};
    request.set(http::field::host, "127.0.0.1");
    for (const auto& [name, value] : fields) request.set(name, value);
    if (!body.empty()) request.body() = std::move(body);
    if (verb == http::verb::post) request.prepare_payload();
    boost::system::error_code error;
    http::write(stream_, request, error);
    if (error) return broken();
    http::response_parser<http::string_body> parser;
    parser.body_limit(std::uint64_t{1} << 30);
    parser.skip(verb == http::verb::head);
    http::read(stream_, buffer_, parser, error);
    if (error) return broken();
    auto response = parser.release();
    if (!response.keep_alive()) ok_ = false;
    Answered answered{response.result_int(), std::move(response.body()), {}, {}};
    answered.content_type = std::string(response[http::field::content_type]);
    answered.retry_after = std::string(response[http::field::retry_after]);
    return answered;
  }
  std::optional<Answered> get(std::string_view target) {
    return request(boost::beast::http::verb::get, target);
  }
  std::optional<Answered> post(std::string_view target, std::string body,
                               std::vector<std::pair<std::string, std::string>> fields = {}) {
    return request(boost::beast::http::verb::post, target, std::move(body), std::move(fields));
  }

 private:
  std::optional<Answered> broken() {
    ok_ = false;
    return std::nullopt;
  }
  std::unique_ptr<boost::asio::io_context> io_ = std::make_unique<boost::asio::io_context>();
  boost::beast::tcp_stream stream_;
  boost::beast::flat_buffer buffer_;
  bool ok_ = false;
};

}  // namespace covey::testing
