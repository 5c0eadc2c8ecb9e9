#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace covey::config {

class Table;

/// One value of a document. Readers never fail: a wrong value is noted as a fault with its place,
/// and a harmless stand-in is answered, so that one reading finds every fault.
class Value {
 public:
  std::string text() const;
  double number() const;
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  bool flag() const;                                ///< yes/no, true/false
  double percent(double least, double most) const;  ///< "0.5%" -> 0.005; limits as fractions
  std::chrono::microseconds duration() const;       ///< "36h"
  Time time() const;                                ///< RFC 3339
  /// The place of the text in `names`; 0 where it is none of them.
  std::size_t choice(std::span<const std::string_view> names) const;
  std::vector<Value> list() const;
  Table table() const;
  bool is_list() const;
  bool is_table() const;
  /// Notes a fault of this value that its reader found. One of a value is enough: what follows from
  /// the first is not told.
  void fault(std::string message) const;
  /// A fault of it has been noted, so what was read is a stand-in.
  bool faulty() const;

 private:
  friend class Document;
  friend class Table;
  struct Node;
  explicit Value(std::shared_ptr<const Node> node) : node_(std::move(node)) {}
  /// The scalar's text; nothing, with a fault noted, where it is a list, a table or empty.
  std::optional<std::string> scalar(std::string_view wanted) const;
  void note(std::string message) const;
  std::shared_ptr<const Node> node_;
};

/// A mapping. Every key that was never asked for is a fault, with a near match among those asked
/// for: call done() once all have been.
class Table {
 public:
  std::optional<Value> get(std::string_view key);
  /// done() notes a fault when the key is missing, unless another was meant to be it; `why` says
  /// what it is for.
  std::optional<Value> require(std::string_view key, std::string_view why);
  /// Keys in the order of the file; for tables whose keys are names the user picks. They count as
  /// asked for.
  std::vector<std::pair<std::string, Value>> entries();
  /// Of the table as a whole.
  void fault(std::string message) const { self_.note(std::move(message)); }
  void done();

 private:
  friend class Value;
  explicit Table(Value self);
  Value self_;
  std::vector<std::pair<std::string, Value>> entries_;
  std::vector<std::string> asked_;
  std::vector<std::pair<std::string, std::string>> missing_;  ///< key, what for
};

/// A YAML 1.2 file, read strictly: unknown and repeated keys are faults, anchors and tags are
/// refused, and everything wrong is answered at once with line and column.
///
///     auto file = COVEY_TRY(Document::parse("plan.yaml", text));
///     Table top = file.top();
///     const auto name = top.require("name", "what the plan is called");
///     top.done();
///     COVEY_TRY_VOID(file.verdict());
class Document {
 public:
  /// kRejected: no YAML, or more than 1 MiB of it. `name` stands before every place.
  static Result<Document> parse(std::string name, std::string_view text);
  Table top() const;
  /// kRejected with all faults, a line each, in order of place.
  Result<void> verdict() const;

 private:
  struct Faults;
  friend class Value;
  Document() = default;
  std::shared_ptr<Faults> faults_;
  std::shared_ptr<const Value::Node> root_;
};

}  // namespace covey::config
