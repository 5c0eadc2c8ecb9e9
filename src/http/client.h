#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace covey::http {

struct Url {
  std::string host;
  std::uint16_t port = 80;
  std::string target = "/";  ///< path and query, still encoded
};
/// Reads http://HOST[:PORT][/PATH]. kRejected says what is wrong; https is (README, "Limits").
Result<Url> parse_url(std::string_view text);
/// HOST:PORT; [::1]:8080 too. kRejected.
Result<Url> parse_host_port(std::string_view text);

/// Bytes that may not stand in a path segment or query value as %XX.
std::string percent_encode(std::string_view text);

struct Ask {
  std::string_view method = "GET", target = "/", body = {}, content_type = "application/json";
  std::vector<std::pair<std::string_view, std::string_view>> fields = {};
};
struct Answer {
  unsigned status = 0;
  std::string body, content_type, retry_after;
};

/// An HTTP/1.1 client of one server that blocks its caller, for at most `patience` an answer.
///
/// Keeps its connection, and opens it again where the server has closed it meanwhile. One thread.
class Client {
 public:
  explicit Client(const Url& server);
  ~Client();
  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;

  /// kRetryLater: no whole answer came (refused, cut, too slow, larger than `body_max`). Any status
  /// is an answer.
  Result<Answer> ask(const Ask& what, std::chrono::milliseconds patience,
                     std::size_t body_max = std::size_t{16} << 20);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace covey::http
