#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "events/codec.h"

namespace covey::events {

/// Which event an xAPI statement becomes, by its verb and its object's activity type: a CSV table
/// people edit. Its columns and words: docs/xapi.md; an example: deploy/xapi-mapping.csv.
class XapiMapping {
 public:
  /// kRejected names file, line, and the word that was probably meant. A row that could never be
  /// reached, for one before it takes all it would match, is an error too.
  static Result<XapiMapping> parse(std::string_view csv_text, std::string_view file_name);

  /// The table that ships, the same as deploy/xapi-mapping.csv.
  static const XapiMapping& builtin();
  /// Its text, to start one's own from.
  static std::string_view builtin_text();

 private:
  friend class Xapi;
  struct Table;
  std::shared_ptr<const Table> table_;  // immutable once parsed, so copies may share it
};

/// xAPI 1.0.3 statements as events. Rules and their reasons: docs/xapi.md.
///
/// Hides JSON, the shapes statements arrive in, and what the standard lets senders leave out. Every
/// statement becomes one event or one rejection. Not for threads; one object a thread.
class Xapi {
 public:
  explicit Xapi(const XapiMapping& mapping);
  Xapi(Xapi&&) noexcept;
  Xapi& operator=(Xapi&&) noexcept;
  ~Xapi();

  /// Whether `text` is one statement a line, so that it may be cut at line ends and given in parts
  /// (each with its `first_line`), rather than one JSON document, which must be given whole. Looks
  /// at the first two lines only.
  static bool newline_delimited(std::string_view text);

  /// A statement, an array of statements, the answer of a record store ({"statements": [...]}), or
  /// one statement a line. A statement's place is its line, or else its index in the array, counted
  /// from `source.first_line`. A document that is not JSON is one rejection; where statements come
  /// one a line, so is every such line.
  ///
  /// A document needs working memory of about 10 times its size while it is read.
  void parse(std::string_view text, const Source& source, Parsed& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace covey::events
