#include "notify/queue.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/hash.h"

namespace covey::notify {
namespace {

constexpr std::size_t kIdsRemembered = 4'096;

}  // namespace

Result<std::unique_ptr<Queue>> Queue::make(const plan::Channel& channel, Limits limits,
                                           const Clock& clock, Dead dead, Gone gone) {
  auto url = http::parse_url(channel.url);
  if (!url) {
    return fail(Errc::kRejected, fmt::format("channel {}: {}", channel.name, url.error().message));
  }
  return std::unique_ptr<Queue>(
      new Queue(channel, std::move(*url), limits, clock, std::move(dead), std::move(gone)));
}

Queue::Queue(const plan::Channel& channel, http::Url url, Limits limits, const Clock& clock,
             Dead dead, Gone gone)
    : channel_(channel),
      target_(target(channel, url.target)),
      client_(url),
      limits_(limits),
      clock_(clock),
      dead_(std::move(dead)),
      gone_(std::move(gone)),
      random_(hash64(channel.name, static_cast<std::uint64_t>(clock.now().count()))) {}

void Queue::remember(const std::string& id) {
  sent_ids_.insert(id);
  sent_order_.push_back(id);
  if (sent_order_.size() > kIdsRemembered) {
    sent_ids_.erase(sent_order_.front());
    sent_order_.pop_front();
  }
}

void Queue::post(Message message) {
  std::optional<Message> over;
  {
    const std::lock_guard lock(mutex_);
    const bool waits = std::ranges::any_of(waiting_, [&](const Message& other) {
      return other.id == message.id ||
             (message.renewal && other.renewal && other.what.incident == message.what.incident);
    });
    if (waits) return;
    if (sent_ids_.contains(message.id)) {
      over = std::move(message);
    } else {
      if (waiting_.size() >= limits_.waiting_max) {
        over = std::move(waiting_.front());
        waiting_.pop_front();
        ++counters_.dropped;
      }
      waiting_.push_back(std::move(message));
    }
  }
  wake_.notify_one();
  if (over && gone_) gone_(channel_, *over);
}

void Queue::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
}

Queue::Counters Queue::counters() const {
  const std::lock_guard lock(mutex_);
  Counters out = counters_;
  out.waiting = waiting_.size();
  return out;
}

Queue::Sent Queue::attempt(const Message& message, std::string& why) {
  const std::string text = body(channel_.kind, message);
  if (text.empty()) return Sent::kYes;  // not for this kind of channel
  const auto answer = client_.ask({.method = "POST",
                                   .target = target_,
                                   .body = text,
                                   .content_type = content_type(channel_.kind),
                                   .fields = {{"Idempotency-Key", message.id}}},
                                  limits_.patience);
  if (!answer) {
    why = answer.error().message;
    return Sent::kAgain;
  }
  if (answer->status / 100 == 2) return Sent::kYes;
  why = fmt::format("it answered {}: {}", answer->status, answer->body.substr(0, 200));
  const bool for_good = answer->status / 100 == 4 && answer->status != 408 && answer->status != 429;
  return for_good ? Sent::kRefused : Sent::kAgain;
}

void Queue::run() {
  int failures = 0;
  for (;;) {
    Message next;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      next = waiting_.front();
    }
    std::string why;
    const Sent sent = attempt(next, why);
    bool died = false, lives = false;
    {
      std::unique_lock lock(mutex_);
      if (sent == Sent::kYes || sent == Sent::kRefused) {
        // Its place may have been given away meanwhile.
        if (!waiting_.empty() && waiting_.front().id == next.id) waiting_.pop_front();
        remember(next.id);
        ++(sent == Sent::kYes ? counters_.sent : counters_.dropped);
      }
      if (sent == Sent::kYes) {
        failures = 0;
        lives = std::exchange(counters_.dead, false);
        counters_.trouble.clear();
      } else {
        ++counters_.failed;
        counters_.trouble = why;
        died = ++failures >= limits_.dead_after && !std::exchange(counters_.dead, true);
      }
    }
    if (sent != Sent::kAgain && gone_) gone_(channel_, next);
    if (died) dead_(channel_, true, why);
    if (lives) dead_(channel_, false, {});
    if (sent != Sent::kAgain) continue;
    auto wait = limits_.backoff_first * (std::int64_t{1} << std::min(failures - 1, 20));
    wait = std::min(wait, limits_.backoff_max);
    wait = std::chrono::milliseconds(static_cast<std::int64_t>(static_cast<double>(wait.count()) *
                                                               (0.5 + 0.5 * random_.uniform())));
    std::unique_lock lock(mutex_);
    if (wake_.wait_for(lock, wait, [this] { return stopping_; })) return;
  }
}

}  // namespace covey::notify
