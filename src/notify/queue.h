#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "http/client.h"
#include "notify/message.h"

namespace covey::notify {

struct Limits {
  std::size_t waiting_max = 1'000;  ///< a channel's; the oldest goes first
  std::chrono::milliseconds patience{3'000};
  std::chrono::milliseconds backoff_first{500}, backoff_max{60'000};
  /// After so many failures in a row a channel is dead, and the others are told.
  int dead_after = 3;
};

/// One channel's messages on their way, in order.
///
/// A message leaves when the receiver answers 2xx; 4xx but 408 and 429 will not come true by trying
/// again, so it is dropped and counted. Everything else is tried again with a back-off that
/// doubles, of which a random part is waited. post() and stop() from any thread; run() on one of
/// its own.
class Queue {
 public:
  /// `dead`: called on run()'s thread when the channel dies (true) and lives again (false), with
  /// the reason.
  using Dead = std::function<void(const plan::Channel&, bool, std::string)>;
  /// `gone`: called when a message will not be sent (again): it was taken, refused for good, or had
  /// to make room. On run()'s thread, or on post()'s.
  using Gone = std::function<void(const plan::Channel&, const Message&)>;
  /// kRejected: the channel's URL can't be used.
  static Result<std::unique_ptr<Queue>> make(const plan::Channel& channel, Limits limits,
                                             const Clock& clock, Dead dead, Gone gone);

  /// Never blocks. A message whose id waits is dropped, and one that was among the last ones sent
  /// is gone already; so is a renewal where one of the same incident waits.
  void post(Message message);
  /// Sends until stop().
  void run();
  /// run() returns after the attempt under way; what waits is not sent, and not gone.
  void stop();

  struct Counters {
    std::uint64_t sent = 0, failed = 0, dropped = 0, waiting = 0;
    bool dead = false;
    std::string trouble;  ///< of the last failed attempt
  };
  Counters counters() const;
  const plan::Channel& channel() const { return channel_; }

 private:
  Queue(const plan::Channel& channel, http::Url url, Limits limits, const Clock& clock, Dead dead,
        Gone gone);
  enum class Sent { kYes, kRefused, kAgain };
  Sent attempt(const Message& message, std::string& why);
  void remember(const std::string& id);

  plan::Channel channel_;
  std::string target_;
  http::Client client_;
  Limits limits_;
  const Clock& clock_;
  Dead dead_;
  Gone gone_;
  Random random_;

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Message> waiting_;
  std::deque<std::string> sent_order_;
  std::set<std::string> sent_ids_;
  Counters counters_;
  bool stopping_ = false;
};

}  // namespace covey::notify
