#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "http/client.h"

namespace covey::app {

/// Sends NDJSON to POST /v1/events of a service, in batches, each until it is stored.
///
/// 429, 503 and no answer at all are waited out and the batch is sent again: rows have ids, so what
/// had been stored is told as a duplicate. One thread at a time.
class EventSender {
 public:
  struct Limits {
    std::uint32_t batch = 5'000;         ///< events
    std::chrono::seconds patience{300};  ///< for one batch, all attempts together
  };
  static Result<EventSender> open(const std::string& url, Limits limits, const Clock& clock);

  /// Takes whole lines. An error is final: rows of other answers than 200, or patience at its end.
  Result<void> send(std::string_view lines);
  /// What is left in the last batch.
  Result<void> finish();

  std::uint64_t accepted() const { return accepted_; }
  std::uint64_t duplicates() const { return duplicates_; }
  std::uint64_t waits() const { return waits_; }  ///< times a batch had to be sent again

 private:
  EventSender(const http::Url& url, std::string target, Limits limits, const Clock& clock);
  Result<void> post(std::string_view body);

  http::Client client_;
  std::string url_, target_;
  Limits limits_;
  const Clock* clock_;
  std::string batch_;
  std::uint32_t in_batch_ = 0;
  std::uint64_t accepted_ = 0, duplicates_ = 0, waits_ = 0;
};

}  // namespace covey::app
