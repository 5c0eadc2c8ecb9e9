#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "events/codec.h"

namespace covey::events {

/// The OULAD package (form: data/oulad/README.md) as events.
///
/// | row              | events, all with the row's id "<file>:<line>"                           |
/// |------------------|-------------------------------------------------------------------------|
/// | register         | enrol (domain = course), and a profile with the columns of learners.csv |
/// | click            | practice (capability = object, domain = activity, count = value)        |
/// | submit, banked   | practice (capability = "assessment-<object>", domain = "assessment",    |
/// |                  | score = value / 100), and feedback (acted_on = day <= due_day)          |
/// | withdraw         | withdraw (domain = course)                                              |
///
/// learner = "<course>/<learner>". Equal rows are genuine, which is why an id is a place and never
/// the content. A learner of learners.csv without a register row gets its profile from finish().
///
/// Hides the side tables and who has registered: state grows with the learners, never with rows.
/// One object reads one package, its files one after the other in any order. Not for threads.
class Oulad {
 public:
  /// Reads the side tables, whole. kRejected names table, line and what to mend. `source_prefix`
  /// goes before "learners.csv" in the ids of finish()'s profiles.
  static Result<Oulad> from_tables(std::string_view learners_csv, std::string_view assessments_csv,
                                   std::string_view courses_csv,
                                   std::string_view source_prefix = "");
  Oulad(Oulad&&) noexcept;
  Oulad& operator=(Oulad&&) noexcept;
  ~Oulad();

  /// Before the rows of a file: its base name and header line. Columns are known by name and may
  /// stand in any order; further ones are passed over. kRejected: one is missing or there twice.
  Result<void> begin_file(std::string_view file_name, std::string_view header_line);

  /// Rows of the file begun, whole lines only (whole_lines(), not whole_records(): no column holds
  /// free text, so a line is a row even where a stray quote stands). The header is line 1, so the
  /// first row has `source.first_line` 2.
  void parse(std::string_view text, const Source& source, Parsed& out);

  /// After the last file: the profiles of learners who have no register row, at their course's
  /// start, as RowPart::kBeside with the id "<prefix>learners.csv:<line>:<learner>". The learner is
  /// in it because every package has a learners.csv, and a store may hold several packages.
  void finish(Parsed& out);

 private:
  struct State;
  explicit Oulad(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace covey::events
