#include "load/requests.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/hash.h"

namespace covey::load {
namespace {

constexpr std::string_view kLearner = "{learner}";
constexpr std::size_t kRoundDigits = 4;
constexpr std::size_t kLineBytes = 160;  // about, of an event

std::string host_of(const http::Url& target) {
  return target.host.find(':') == std::string::npos
             ? fmt::format("{}:{}", target.host, target.port)
             : fmt::format("[{}]:{}", target.host, target.port);
}

/// What lies before and behind {learner}; `there`: whether it was in `text`.
std::pair<std::string, std::string> cut(std::string_view text, bool& there) {
  const std::size_t at = text.find(kLearner);
  there = at != text.npos;
  if (!there) return {std::string(text), ""};
  return {std::string(text.substr(0, at)), std::string(text.substr(at + kLearner.size()))};
}

void write_round(char* at, std::uint32_t round) {
  for (std::size_t i = kRoundDigits; i-- > 0; round /= 10) {
    at[i] = static_cast<char>('0' + round % 10);
  }
}

}  // namespace

LookUps::LookUps(const http::Url& target, std::string_view path, std::string_view expect,
                 const Learners& learners, Random random)
    : learners_(learners), random_(random) {
  std::tie(before_, after_) = cut(path, asks_for_);
  std::tie(expect_before_, expect_after_) = cut(expect, expects_learner_);
  before_ = "GET " + before_;
  after_ += " HTTP/1.1\r\nHost: " + host_of(target) + "\r\n";
  for (const std::string& learner : learners.names) {
    encoded_.push_back(http::percent_encode(learner));
  }
  if (learners.names.empty() && learners.simulated > 0) {
    population::Spec spec;
    spec.learners = learners.simulated;
    names_.emplace(spec);
  }
}

std::string LookUps::name_of(std::uint32_t learner) const {
  return names_ ? names_->learner_name(learner) : learners_.names[learner];
}

std::uint32_t LookUps::append(std::string& out) {
  std::uint32_t learner = 0;
  out += before_;
  if (!learners_.any()) {
    out += after_;
    out += "\r\n";
    return learner;
  }
  learner = static_cast<std::uint32_t>(
      random_.below(names_ ? learners_.simulated : learners_.names.size()));
  const std::string name = name_of(learner);
  // A simulated name needs no encoding.
  if (asks_for_) out += names_ ? name : encoded_[learner];
  out += after_;
  out += "X-Learner-Id: ";
  out += name;
  out += "\r\n";
  if (!learners_.segments.empty()) {
    out += "X-Segment: ";
    out += learners_.segments[hash64(name) % learners_.segments.size()];
    out += "\r\n";
  }
  out += "\r\n";
  return learner;
}

bool LookUps::right(std::uint32_t learner, std::string_view body) const {
  if (expect_before_.empty() && !expects_learner_) return true;
  if (!expects_learner_) return body.find(expect_before_) != body.npos;
  const std::string text =
      expect_before_ + (learners_.any() ? name_of(learner) : std::string()) + expect_after_;
  return body.find(text) != body.npos;
}

Batches::Batches(const http::Url& target, const Spec& spec, Random random) {
  population::Spec drawn_from = spec.population;
  drawn_from.id_prefix = spec.id_prefix + std::string(kRoundDigits, '0') + "-";
  const population::Population population(drawn_from);
  const std::size_t fitting = std::max<std::size_t>(1, spec.bytes_max / (kLineBytes * spec.events));
  const std::uint64_t batches = std::clamp<std::uint64_t>(spec.batches_wanted, 1, fitting);
  const std::uint64_t wanted = batches * spec.events;
  // Whole learners, each at most once: else their events' ids would come twice.
  std::vector<population::Drawn> all, one;
  std::vector<bool> taken(drawn_from.learners);
  for (std::uint32_t left = drawn_from.learners; left > 0 && all.size() < wanted; --left) {
    auto learner = static_cast<std::uint32_t>(random.below(drawn_from.learners));
    while (taken[learner]) learner = (learner + 1) % drawn_from.learners;
    taken[learner] = true;
    population.learner(learner, one);
    all.insert(all.end(), one.begin(), one.end());
  }
  std::ranges::stable_sort(all, {}, &population::Drawn::second);
  if (all.size() > wanted) all.resize(wanted);
  std::string text;
  const std::size_t prefix = std::string_view(R"({"id":")").size() + spec.id_prefix.size();
  for (std::size_t i = 0; i < all.size();) {
    text.clear();
    std::vector<std::uint32_t> rounds;
    // The last batch is full, too: a few events fewer in all.
    const std::size_t end = std::min(all.size(), i + spec.events);
    if (end - i < spec.events && !bodies_.empty()) break;
    for (; i < end; ++i) {
      rounds.push_back(static_cast<std::uint32_t>(text.size() + prefix));
      population.append_ndjson(all[i], text);
    }
    Body body;
    body.request = fmt::format(
        "POST /v1/events HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-ndjson\r\n"
        "Content-Length: {}\r\n\r\n",
        host_of(target), text.size());
    body.lines_at = static_cast<std::uint32_t>(body.request.size());
    for (std::uint32_t& at : rounds) at += static_cast<std::uint32_t>(body.request.size());
    body.request += text;
    body.rounds = std::move(rounds);
    bodies_.push_back(std::move(body));
  }
}

Batches::Body& Batches::in_round(std::size_t number) {
  Body& body = bodies_[number % bodies_.size()];
  const auto round = static_cast<std::uint32_t>(number / bodies_.size());
  for (const std::uint32_t at : body.rounds) write_round(body.request.data() + at, round);
  return body;
}

Batches::Batch Batches::next() {
  const std::size_t number = fates_.size();
  fates_.push_back(Fate::kInDoubt);
  const bool again = number >= bodies_.size();
  const Body& body = again ? in_round(number) : bodies_[number];
  return {body.request, static_cast<std::uint32_t>(body.rounds.size()),
          static_cast<std::uint32_t>(number), again};
}

void Batches::given(const Visit& visit) {
  for (std::size_t number = 0; number < fates_.size(); ++number) {
    const Body& body = in_round(number);
    visit(body.lines(), static_cast<std::uint32_t>(body.rounds.size()), fates_[number]);
  }
}

void Batches::planned(const Visit& visit) const {
  for (const Body& body : bodies_) {
    visit(body.lines(), static_cast<std::uint32_t>(body.rounds.size()), Fate::kInDoubt);
  }
}

bool Batches::right(std::uint32_t events, std::string_view body) {
  const std::string wanted = fmt::format("\"accepted\":{},", events);
  return body.find(wanted) != body.npos;
}

std::string cohorts_request(const http::Url& target) {
  return fmt::format("GET /v1/cohorts HTTP/1.1\r\nHost: {}\r\n\r\n", host_of(target));
}
std::string discover_request(const http::Url& target) {
  return fmt::format(
      "POST /v1/discover HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n"
      "Content-Length: 2\r\n\r\n{{}}",
      host_of(target));
}
bool has_cohorts(std::string_view body) {
  return body.starts_with('{') && body.find("\"cohorts\"") != body.npos;
}

}  // namespace covey::load
