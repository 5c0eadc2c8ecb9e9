#include "app/event_sender.h"

#include <algorithm>
#include <charconv>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace covey::app {
namespace {

constexpr std::chrono::milliseconds kAnswerMax{30'000};
constexpr std::chrono::milliseconds kPause{1'000};

/// Retry-After in seconds; a pause of our own where it is a date or nothing.
std::chrono::milliseconds pause_of(const std::string& retry_after) {
  unsigned seconds = 0;
  const char* end = retry_after.data() + retry_after.size();
  const auto read = std::from_chars(retry_after.data(), end, seconds);
  if (read.ec != std::errc() || read.ptr != end) return kPause;
  return std::chrono::seconds(std::clamp(seconds, 1u, 60u));
}

}  // namespace

EventSender::EventSender(const http::Url& url, std::string target, Limits limits,
                         const Clock& clock)
    : client_(url),
      url_(fmt::format("http://{}:{}{}", url.host, url.port, target)),
      target_(std::move(target)),
      limits_(limits),
      clock_(&clock) {}

Result<EventSender> EventSender::open(const std::string& url, Limits limits, const Clock& clock) {
  const http::Url parsed = COVEY_TRY(http::parse_url(url));
  return EventSender(parsed, parsed.target == "/" ? "/v1/events" : parsed.target, limits, clock);
}

Result<void> EventSender::send(std::string_view lines) {
  while (!lines.empty()) {
    // As many lines as the batch still takes.
    std::size_t end = 0;
    while (end < lines.size() && in_batch_ < limits_.batch) {
      end = lines.find('\n', end) + 1;
      ++in_batch_;
    }
    batch_ += lines.substr(0, end);
    lines.remove_prefix(end);
    if (in_batch_ == limits_.batch) COVEY_TRY_VOID(finish());
  }
  return {};
}

Result<void> EventSender::finish() {
  if (in_batch_ == 0) return {};
  COVEY_TRY_VOID(post(batch_));
  batch_.clear();
  in_batch_ = 0;
  return {};
}

Result<void> EventSender::post(std::string_view body) {
  const auto until = clock_->now() + limits_.patience;
  const http::Ask ask{
      .method = "POST", .target = target_, .body = body, .content_type = "application/x-ndjson"};
  for (;;) {
    const auto answer = client_.ask(ask, kAnswerMax);
    if (answer && answer->status == 200) {
      const auto told = nlohmann::json::parse(answer->body, nullptr, false);
      const auto says = [&](const char* name) {
        const auto at = told.find(name);
        return at != told.end() && at->is_number_unsigned();
      };
      if (!told.is_object() || !says("accepted") || !says("duplicates") || !says("rejected")) {
        return fail(Errc::kFailed, fmt::format("{} answers 200, but not as Covey does: is it "
                                               "`covey serve`?",
                                               url_));
      }
      accepted_ += told["accepted"].get<std::uint64_t>();
      duplicates_ += told["duplicates"].get<std::uint64_t>();
      if (told["rejected"].get<std::uint64_t>() > 0) {
        return fail(Errc::kRejected, fmt::format("{} rejects rows: {}", url_, answer->body));
      }
      return {};
    }
    if (answer && answer->status != 429 && answer->status != 503) {
      return fail(Errc::kRejected,
                  fmt::format("{} answers {}: {}", url_, answer->status, answer->body));
    }
    const auto pause = answer ? pause_of(answer->retry_after) : kPause;
    if (clock_->now() + pause > until) {
      return fail(
          Errc::kFailed,
          fmt::format("{} took no batch for {} s (last: {}). The same command again goes "
                      "on: what is stored is recognised",
                      url_, limits_.patience.count(),
                      answer ? fmt::format("status {}", answer->status) : answer.error().message));
    }
    ++waits_;
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace covey::app
