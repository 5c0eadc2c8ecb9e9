#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/controller.h"
#include "control/metrics.h"
#include "control/sessions.h"
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
  std::string reports;           ///< folder the controller writes them to; empty: none
  std::size_t streams_max = 64;  ///< of events at once
  Sessions::Random random;       ///< for the names of sessions; must not be guessable
};

/// The control plane over HTTP. Reading is open to whoever reaches the address; whatever changes
/// something needs `Authorization: Bearer TOKEN` or, from the dashboard, the cookie of a session
/// that was opened with one; it goes to the journal under the token's person and role, before it is
/// answered. A cookie counts only from a page of this origin. Described by openapi.json.
///
/// A browser that asks for "/" gets the dashboard (pages/).
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
  std::optional<Identity> authenticate(const http::Request& request);
  void session(const http::Request& request, http::Response& response);
  http::Task<void> act(http::Request& request, http::Response& response, const Identity& who);
  http::Task<void> put(rollout::What what, http::Request& request, http::Response& response);
  http::Task<void> read(http::Request& request, http::Response& response);
  void reports(const http::Request& request, http::Response& response);
  void stream(http::Response& response);
  http::Task<void> own_metrics(http::Response& response);

  ApiConfig config_;
  Controller& controller_;
  const Journal& journal_;
  const Tokens& tokens_;
  const Clock& clock_;
  Sessions sessions_;
  Time started_;
  RequestCounts requests_;
  std::atomic<std::size_t> streams_{0};
  std::atomic<std::uint64_t> refused_tokens_{0};
};

}  // namespace covey::control
