#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/controller.h"
#include "control/tokens.h"
#include "http/server.h"

namespace covey::control {

struct RouteInfo {
  std::string_view path;                  ///< as in openapi.json
  std::vector<std::string_view> methods;  ///< without HEAD, which goes wherever GET does
  bool token = false;                     ///< only for people with a token
};

struct ApiConfig {
  std::string version, effective_config = "{}";
  /// More text for /metrics: of the collector, the channels.
  std::function<std::string()> more_metrics = [] { return std::string(); };
  std::size_t streams_max = 64;  ///< of events at once
};

/// The control plane over HTTP. Reading is open to whoever reaches the address; whatever changes
/// something needs `Authorization: Bearer TOKEN`, and goes to the journal under the token's person
/// and role, before it is answered. Described by openapi.json.
class Api final : public http::Handler {
 public:
  /// What it borrows must outlive it.
  Api(ApiConfig config, Controller& controller, const Journal& journal, const Tokens& tokens,
      const Clock& clock);

  std::optional<std::size_t> admit(const http::Request& request, http::Response& response) override;
  http::Task<void> handle(http::Request& request, http::Response& response) override;
  void finished(const http::Request& request, const http::Response& response,
                std::chrono::nanoseconds took) noexcept override;

  static std::span<const RouteInfo> routes();
  static std::string_view openapi();

 private:
  http::Task<void> act(http::Request& request, http::Response& response, const Identity& who);
  http::Task<void> put(rollout::What what, http::Request& request, http::Response& response);
  http::Task<void> read(http::Request& request, http::Response& response);
  void stream(http::Response& response);

  ApiConfig config_;
  Controller& controller_;
  const Journal& journal_;
  const Tokens& tokens_;
  const Clock& clock_;
  std::atomic<std::size_t> streams_{0};
  std::atomic<std::uint64_t> requests_{0}, refused_tokens_{0};
};

}  // namespace covey::control
