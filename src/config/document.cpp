#include "config/document.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include "base/near.h"
#include "config/units.h"

namespace covey::config {
namespace {

constexpr std::size_t kBytesMax = std::size_t{1} << 20;
constexpr std::size_t kFaultsMax = 50;
constexpr int kDepthMax = 32;

/// What a file may not hold: features that make one line change the meaning of another.
class Inspector final : public YAML::EventHandler {
 public:
  std::optional<std::pair<YAML::Mark, std::string>> refused;

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) refuse(mark, "a second document; one file holds one");
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { see(mark, "", anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "aliases (*name) are not read; write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string&) override {
    see(mark, tag, anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    see(mark, tag, anchor);
    deeper(mark);
  }
  void OnSequenceEnd() override { --depth_; }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    see(mark, tag, anchor);
    deeper(mark);
  }
  void OnMapEnd() override { --depth_; }

 private:
  void see(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != 0) refuse(mark, "anchors (&name) are not read; write the value out");
    if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, "tags (!name) are not read");
  }
  void deeper(const YAML::Mark& mark) {
    if (++depth_ > kDepthMax) refuse(mark, "nested too deep");
  }
  void refuse(const YAML::Mark& mark, std::string why) {
    if (!refused) refused = {mark, std::move(why)};
  }
  int documents_ = 0;
  int depth_ = 0;
};

}  // namespace

struct Document::Faults {
  struct Fault {
    int line, column;
    std::string message;
  };
  std::string name;
  std::vector<Fault> all;
};

struct Value::Node {
  YAML::Node yaml;
  std::string what;  // "metrics.revenue.kind"
  std::shared_ptr<Document::Faults> faults;
  YAML::Mark mark;  // of the key where there is one: that is where a person looks
  mutable bool faulty = false;
};

void Value::fault(std::string message) const {
  if (!std::exchange(node_->faulty, true)) note(std::move(message));
}

bool Value::faulty() const {
  return node_->faulty;
}

void Value::note(std::string message) const {
  auto& all = node_->faults->all;
  if (all.size() >= kFaultsMax) return;
  if (!node_->what.empty()) message = node_->what + ": " + message;
  all.push_back({node_->mark.line + 1, node_->mark.column + 1, std::move(message)});
}

std::optional<std::string> Value::scalar(std::string_view wanted) const {
  if (!node_->yaml.IsScalar() || node_->yaml.Scalar().empty()) {
    fault(fmt::format("{} is wanted here", wanted));
    return std::nullopt;
  }
  return node_->yaml.Scalar();
}

std::string Value::text() const {
  return scalar("a text").value_or("");
}

double Value::number() const {
  const auto given = scalar("a number");
  if (!given) return 0;
  double number = 0;
  const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), number);
  if (error != std::errc() || end != given->data() + given->size() || !std::isfinite(number)) {
    fault(fmt::format("'{}' is no number", *given));
    return 0;
  }
  return number;
}

std::int64_t Value::integer(std::int64_t least, std::int64_t most) const {
  const auto given = scalar("a whole number");
  if (!given) return least;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), number);
  if (error != std::errc() || end != given->data() + given->size() || number < least ||
      number > most) {
    fault(fmt::format("'{}' is no whole number from {} to {}", *given, least, most));
    return least;
  }
  return number;
}

bool Value::flag() const {
  const auto given = scalar("yes or no");
  if (!given) return false;
  if (*given == "yes" || *given == "true") return true;
  if (*given == "no" || *given == "false") return false;
  fault(fmt::format("'{}' is neither yes nor no", *given));
  return false;
}

double Value::percent(double least, double most) const {
  const auto given = scalar("a percentage");
  if (!given) return least;
  const auto parsed = parse_percent(*given);
  if (!parsed) {
    fault(parsed.error().message);
    return least;
  }
  if (*parsed < least || *parsed > most) {
    fault(fmt::format("{} must lie between {}% and {}%", *given, least * 100, most * 100));
    return least;
  }
  return *parsed;
}

std::chrono::microseconds Value::duration() const {
  const auto given = scalar("a duration");
  if (!given) return {};
  const auto parsed = parse_duration(*given);
  if (!parsed) {
    fault(parsed.error().message);
    return {};
  }
  return *parsed;
}

Time Value::time() const {
  const auto given = scalar("a time such as 2025-11-02T16:00:00Z");
  if (!given) return {};
  const auto parsed = parse_time(*given);
  if (!parsed) {
    fault(parsed.error().message);
    return {};
  }
  return *parsed;
}

std::size_t Value::choice(std::span<const std::string_view> names) const {
  const auto given = scalar(fmt::format("one of {}", fmt::join(names, ", ")));
  if (!given) return 0;
  const auto found = std::ranges::find(names, *given);
  if (found == names.end()) {
    fault(fmt::format("'{}' is none of {}{}", *given, fmt::join(names, ", "),
                      did_you_mean(*given, names)));
    return 0;
  }
  return static_cast<std::size_t>(found - names.begin());
}

std::vector<Value> Value::list() const {
  std::vector<Value> out;
  if (!node_->yaml.IsSequence()) {
    fault("a list is wanted here");
    return out;
  }
  std::size_t i = 0;
  for (const YAML::Node& entry : node_->yaml) {
    out.push_back(Value(std::make_shared<const Node>(
        Node{entry, fmt::format("{}[{}]", node_->what, i++), node_->faults, entry.Mark(), false})));
  }
  return out;
}

Table Value::table() const {
  if (!node_->yaml.IsMap()) fault("a table of `key: value` lines is wanted here");
  return Table(*this);
}

bool Value::is_list() const {
  return node_->yaml.IsSequence();
}
bool Value::is_table() const {
  return node_->yaml.IsMap();
}

Table::Table(Value self) : self_(std::move(self)) {
  const auto& node = *self_.node_;
  if (!node.yaml.IsMap()) return;
  for (const auto& entry : node.yaml) {
    const auto make = [&](std::string what) {
      return Value(std::make_shared<const Value::Node>(
          Value::Node{entry.second, std::move(what), node.faults, entry.first.Mark(), false}));
    };
    if (!entry.first.IsScalar()) {
      make(node.what).fault("a key must be a plain text");
      continue;
    }
    const std::string& key = entry.first.Scalar();
    Value value = make(node.what.empty() ? key : node.what + "." + key);
    if (std::ranges::find(entries_, key, &std::pair<std::string, Value>::first) != entries_.end()) {
      value.fault("given twice");
      continue;
    }
    entries_.emplace_back(key, std::move(value));
  }
}

std::optional<Value> Table::get(std::string_view key) {
  asked_.emplace_back(key);
  for (const auto& [name, value] : entries_) {
    if (name == key) return value;
  }
  return std::nullopt;
}

std::optional<Value> Table::require(std::string_view key, std::string_view why) {
  auto value = get(key);
  if (!value && self_.node_->yaml.IsMap()) missing_.emplace_back(key, why);
  return value;
}

std::vector<std::pair<std::string, Value>> Table::entries() {
  for (const auto& [name, value] : entries_) asked_.push_back(name);
  return entries_;
}

void Table::done() {
  const std::vector<std::string_view> known(asked_.begin(), asked_.end());
  for (const auto& [name, value] : entries_) {
    if (std::ranges::find(known, name) != known.end()) continue;
    value.fault("unknown key" + did_you_mean(name, known));
    // Mistyped, not missing.
    const std::string_view meant = near_match(name, known);
    std::erase_if(missing_, [&](const auto& missing) { return missing.first == meant; });
  }
  for (const auto& [key, why] : missing_) fault(fmt::format("`{}` is missing: {}", key, why));
  missing_.clear();
}

Result<Document> Document::parse(std::string name, std::string_view text) {
  if (text.size() > kBytesMax) return fail(Errc::kRejected, name + ": more than 1 MiB");
  Document document;
  document.faults_ = std::make_shared<Faults>();
  document.faults_->name = name;
  const auto at = [&](const YAML::Mark& mark, std::string_view message) {
    return fail(Errc::kRejected,
                fmt::format("{}:{}:{}: {}", name, mark.line + 1, mark.column + 1, message));
  };
  // yaml-cpp reports by exceptions; they end here.
  try {
    std::istringstream events{std::string(text)};
    YAML::Parser parser(events);
    Inspector inspector;
    while (parser.HandleNextDocument(inspector)) {
    }
    if (inspector.refused) return at(inspector.refused->first, inspector.refused->second);
    YAML::Node root = YAML::Load(std::string(text));
    if (!root.IsMap()) {
      return fail(Errc::kRejected, name + ":1:1: a table of `key: value` lines is wanted");
    }
    document.root_ = std::make_shared<const Value::Node>(
        Value::Node{root, "", document.faults_, root.Mark(), false});
  } catch (const YAML::Exception& e) {
    return at(e.mark.is_null() ? YAML::Mark() : e.mark, e.msg);
  }
  return document;
}

Table Document::top() const {
  return Value(root_).table();
}

Result<void> Document::verdict() const {
  auto all = faults_->all;
  if (all.empty()) return {};
  std::ranges::stable_sort(all, {},
                           [](const Faults::Fault& f) { return std::pair(f.line, f.column); });
  std::string out;
  for (const auto& fault : all) {
    if (!out.empty()) out += '\n';
    out += fmt::format("{}:{}:{}: {}", faults_->name, fault.line, fault.column, fault.message);
  }
  if (all.size() >= kFaultsMax) out += "\n... and perhaps more";
  return fail(Errc::kRejected, std::move(out));
}

}  // namespace covey::config
