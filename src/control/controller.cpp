#include "control/controller.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "control/archive.h"
#include "control/report.h"
#include "rollout/json.h"

namespace covey::control {

using rollout::Input;
using telemetry::ClosedSlot;

namespace {

/// An alert ends after half a day unless it is told again (notify/message.cpp).
constexpr std::chrono::hours kRenewEvery{1};

}  // namespace

Controller::Controller(const plan::Plan& plan, Config config, Journal& journal, Balancer& balancer,
                       Channels& channels, Checks& checks, const Clock& clock)
    : plan_(plan),
      config_(std::move(config)),
      journal_(journal),
      balancer_(balancer),
      channels_(channels),
      checks_(checks),
      clock_(clock),
      shape_(rollout::telemetry_shape(plan)),
      history_(shape_, plan.slot),
      outbox_(journal, channels.names()),
      nothing_(rollout::initial(plan)),
      view_(std::make_shared<View>()) {
  journal_.watch([this](const rollout::Entry& entry, const Record&) {
    for (const rollout::Decision& decision : entry.decisions) {
      decisions_.push_back(rollout::to_json(decision));
      if (decisions_.size() > config_.decisions_max) decisions_.pop_front();
      if (decided_ != nullptr) decided_->push_back(decision);
    }
  });
}

Controller::~Controller() = default;

// ---- From any thread

bool Controller::post(Post what) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return false;  // run() may have returned: nobody would do it
    inbox_.push_back(std::move(what));
  }
  wake_.notify_one();
  return true;
}

Result<void> Controller::room() const {
  const std::lock_guard lock(mutex_);
  if (inbox_.size() >= config_.inbox_max) {
    return fail(Errc::kFull, "too much is waiting: ask again in a second");
  }
  return {};
}

void Controller::submit(rollout::What what, Answer answer) {
  if (!answer) answer = [](const Result<Decisions>&) {};
  if (const auto fits = room(); !fits) {
    answer(std::unexpected(fits.error()));
    return;
  }
  const bool posted = post([this, what = std::move(what), answer]() -> Result<void> {
    Decisions decided;
    auto done = take(what, &decided);
    publish();
    // Answered only now that it is in the journal, and seen by whoever looks next.
    if (done) {
      answer(std::move(decided));
    } else {
      answer(std::unexpected(done.error()));
    }
    return done;
  });
  if (!posted) answer(fail(Errc::kRetryLater, "the controller is stopping"));
}

void Controller::resolve(std::string key, std::string by) {
  post([this, key = std::move(key), by = std::move(by)]() -> Result<void> {
    for (const auto& incident : driver_->state().incidents) {
      if (!incident.open() || incident.key != key) continue;
      COVEY_TRY_VOID(take(rollout::Resolve{incident.id, by}, nullptr));
      break;  // of a key only one is open; and the list is another now
    }
    publish();
    return {};
  });
}

void Controller::gone(std::string channel, std::uint64_t effect) {
  // Where it is stopping, the note stays and is sent again with the same key.
  post([this, channel = std::move(channel), effect]() -> Result<void> {
    if (failed_) return std::unexpected(*failed_);
    return outbox_.erase(channel, effect);
  });
}

void Controller::add_slots(std::vector<ClosedSlot> slots) {
  if (slots.empty()) return;
  post([this, slots = std::move(slots)]() mutable { return look(std::move(slots)); });
}

void Controller::add_levels(telemetry::Arm arm, const telemetry::Levels& levels) {
  post([this, arm, levels]() -> Result<void> {
    levels_[static_cast<std::size_t>(arm)] += levels;
    return {};
  });
}

Result<void> Controller::with_books(std::function<void(const Books&)> read) {
  COVEY_TRY_VOID(room());
  const bool posted = post([this, read = std::move(read)]() -> Result<void> {
    read(books());
    return {};
  });
  if (!posted) return fail(Errc::kRetryLater, "the controller is stopping");
  return {};
}

std::shared_ptr<const View> Controller::view() const {
  const std::lock_guard lock(mutex_);
  return view_;
}

void Controller::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
}

// ---- On run()'s thread

Result<void> Controller::recover() {
  COVEY_TRY_VOID(journal_.slots([&](const ClosedSlot& slot) {
    history_.add(slot.end, slot.sums, slot.complete);
    latencies_.add(slot.end, slot.latencies);
  }));
  COVEY_TRY_VOID(journal_.records(0, [&](const Record& record) {
    // Ticks decide rarely: only what has decisions is worth reading as JSON.
    if (record.text.find("\"decisions\":") == std::string::npos) return true;
    const Json json = Json::parse(record.text, nullptr, false);
    if (json.is_object() && json.contains("decisions")) {
      for (const Json& decision : json["decisions"]) decisions_.push_back(decision);
    }
    while (decisions_.size() > config_.decisions_max) decisions_.pop_front();
    return true;
  }));
  // Before the driver, which may ask for the newest once more: those are in the queues by then.
  for (const Note& note : COVEY_TRY(outbox_.waiting())) channels_.post(note);
  driver_ = COVEY_TRY(rollout::Driver::open(plan_, journal_, *this, time_now()));
  publish();
  return {};
}

Result<void> Controller::run() {
  COVEY_CHECK(driver_ != nullptr);
  for (;;) {
    Post next;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !inbox_.empty(); });
      if (inbox_.empty()) return {};
      next = std::move(inbox_.front());
      inbox_.pop_front();
    }
    if (auto done = next(); !done) {
      // Memory is ahead of the journal from here on: nothing more is taken in. Whoever waits for an
      // answer gets the reason.
      failed_ = done.error();
      stop();
      (void)settle();
      return done;
    }
  }
}

Result<void> Controller::settle() {
  for (;;) {
    Post next;
    {
      const std::lock_guard lock(mutex_);
      if (inbox_.empty()) return {};
      next = std::move(inbox_.front());
      inbox_.pop_front();
    }
    auto done = next();
    if (!done && !failed_) return done;
  }
}

Time Controller::time_now() const {
  // A wall clock set back must not make the calendar run backwards.
  const Time wall = clock_.wall();
  return driver_ ? std::max(wall, driver_->state().now) : wall;
}

Result<void> Controller::take(rollout::What what, Decisions* decided) {
  if (failed_) return std::unexpected(*failed_);
  decided_ = decided;
  auto done = driver_->take({time_now(), std::move(what)});
  decided_ = nullptr;
  return done;
}

Result<void> Controller::look(std::vector<ClosedSlot> slots) {
  if (failed_) return std::unexpected(*failed_);
  for (ClosedSlot& slot : slots) {
    telemetry::note_uptime(slot);
    for (std::size_t a = 0; a < telemetry::kArms; ++a) {
      slot.sums.add(static_cast<telemetry::Arm>(a), std::exchange(levels_[a], {}));
    }
    history_.add(slot.end, slot.sums, slot.complete);
    latencies_.add(slot.end, slot.latencies);
    journal_.keep(slot);
  }
  // The core looks at the time up to which telemetry has come, not at a moment it knows nothing of.
  const Time seen = slots.back().end;
  rollout::Tick tick{rollout::measure(plan_, driver_->state(), history_, seen)};
  for (const auto& [arm, to] : {std::pair{telemetry::Arm::kCandidate, &tick.telemetry.candidate},
                                std::pair{telemetry::Arm::kBaseline, &tick.telemetry.baseline}}) {
    to->p99 = latencies_.between(seen - plan_.window, seen, arm).quantile(0.99);
  }
  COVEY_TRY_VOID(driver_->take({std::max(seen, driver_->state().now), std::move(tick)}));
  renew_alerts();
  publish();
  return {};
}

void Controller::renew_alerts() {
  const Time now = time_now();
  std::map<std::uint64_t, Time> open;
  for (const rollout::Incident& incident : driver_->state().incidents) {
    if (!incident.open()) continue;
    const auto before = renewed_.find(incident.id);
    Time told = before == renewed_.end() ? incident.called : before->second;
    if (now - told >= kRenewEvery) {
      rollout::Notify notify;
      notify.severity = incident.severity;
      notify.title = incident.title;
      notify.incident = incident.id;
      channels_.renew(notify, now);
      told = now;
    }
    open.emplace(incident.id, told);
  }
  renewed_ = std::move(open);
}

Books Controller::books() const {
  return {plan_,
          driver_ ? driver_->state() : nothing_,
          history_,
          latencies_,
          decisions_,
          journal_.count(),
          journal_.head(),
          time_now(),
          config_.telemetry_trouble ? config_.telemetry_trouble() : std::string()};
}

void Controller::publish() {
  auto next = std::make_shared<View>();
  const Books now = books();
  next->status = status(now).dump(-1, ' ', false, Json::error_handler_t::replace);
  next->share_seen = now.state.seen;
  const std::lock_guard lock(mutex_);
  next->version = view_->version + 1;
  view_ = std::move(next);
}

// ---- What the core asks for

Result<rollout::BasisPoints> Controller::share() {
  return balancer_.share();
}

Result<void> Controller::set_share(rollout::BasisPoints share, const rollout::Effect&) {
  return balancer_.set_share(share);
}

void Controller::run_check(const rollout::RunCheck& check, const rollout::Effect&) {
  checks_.run(check.stage, check.check);
}

Result<void> Controller::notify(const rollout::Notify& notify, const rollout::Effect& effect) {
  // Kept first: done means that it will be sent, whatever happens to this process.
  for (const Note& note : COVEY_TRY(outbox_.keep(notify, effect.id, time_now()))) {
    channels_.post(note);
  }
  return {};
}

Result<void> Controller::write_report(const rollout::WriteReport& report,
                                      const rollout::Effect& effect) {
  if (config_.reports.empty()) return fail(Errc::kRejected, "no folder for reports was given");
  return archive_report(journal_, config_.reports, effect.id, make_report(books(), report), report,
                        time_now());
}

}  // namespace covey::control
