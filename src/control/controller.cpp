#include "control/controller.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "control/metrics.h"
#include "control/report.h"
#include "rollout/json.h"

namespace covey::control {

using rollout::Input;
using telemetry::ClosedSlot;

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

void Controller::submit(rollout::What what, Answer answer) {
  if (!answer) answer = [](const Result<Decisions>&) {};
  {
    const std::lock_guard lock(mutex_);
    if (inbox_.size() >= config_.inbox_max) {
      answer(fail(Errc::kFull, "too much is waiting: ask again"));
      return;
    }
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

void Controller::set_impact(plan::Measure measure, rollout::Impact impact, std::string by,
                            std::function<void(const Result<void>&)> done) {
  const bool posted = post([this, measure, impact, by = std::move(by), done]() -> Result<void> {
    const Json kept = {{"estimate", impact.estimate},
                       {"low", impact.interval.low},
                       {"high", impact.interval.high},
                       {"by", by},
                       {"at", format_time(time_now())}};
    auto put = journal_.put(fmt::format("impact/{}", plan::name(measure)),
                            kept.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (put) impacts_[measure] = impact;
    done(put);
    return put;
  });
  if (!posted) done(fail(Errc::kRetryLater, "the controller is stopping"));
}

bool Controller::with_books(std::function<void(const Books&)> read) {
  return post([this, read = std::move(read)]() -> Result<void> {
    read(books());
    return {};
  });
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

Result<void> Controller::recover_impacts() {
  for (const plan::Measure measure :
       {plan::Measure::kRevenue, plan::Measure::kChurn, plan::Measure::kEngagement}) {
    const auto kept = COVEY_TRY(journal_.get(fmt::format("impact/{}", plan::name(measure))));
    if (!kept) continue;
    const Json json = Json::parse(*kept, nullptr, false);
    const auto number = [&](const char* key) {
      return json.is_object() && json.contains(key) && json[key].is_number();
    };
    if (!number("estimate") || !number("low") || !number("high")) {
      return fail(Errc::kCorrupt, fmt::format("the journal's impact of {} is damaged: {}",
                                              plan::name(measure), *kept));
    }
    impacts_[measure] = {json["estimate"].get<double>(),
                         {json["low"].get<double>(), json["high"].get<double>()}};
  }
  return {};
}

Result<void> Controller::recover() {
  COVEY_TRY_VOID(recover_impacts());
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
    for (std::size_t a = 0; a < telemetry::kArms; ++a) {
      slot.sums.add(static_cast<telemetry::Arm>(a), std::exchange(levels_[a], {}));
    }
    history_.add(slot.end, slot.sums, slot.complete);
    latencies_.add(slot.end, slot.latencies);
    journal_.keep(slot);
  }
  // The core looks at the time up to which telemetry has come, not at a moment it knows nothing of.
  const Time seen = slots.back().end;
  rollout::Tick tick{rollout::measure(plan_, driver_->state(), history_, impacts_, seen)};
  COVEY_TRY_VOID(driver_->take({std::max(seen, driver_->state().now), std::move(tick)}));
  publish();
  return {};
}

Books Controller::books() const {
  return {plan_,           driver_ ? driver_->state() : nothing_,
          history_,        latencies_,
          decisions_,      journal_.count(),
          journal_.head(), time_now()};
}

void Controller::publish() {
  auto next = std::make_shared<View>();
  const Books now = books();
  next->status = status(now).dump(-1, ' ', false, Json::error_handler_t::replace);
  next->metrics = metrics(now);
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
  channels_.post(notify, effect.id, time_now());
  return {};
}

Result<void> Controller::write_report(const rollout::WriteReport& report,
                                      const rollout::Effect& effect) {
  if (config_.reports.empty()) return fail(Errc::kRejected, "no folder for reports was given");
  return control::write_report(config_.reports, effect.id, make_report(books(), report));
}

}  // namespace covey::control
