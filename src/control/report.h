#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "control/books.h"
#include "rollout/effect.h"

namespace covey::control {

struct Table {
  std::vector<std::string> head;
  std::vector<std::vector<std::string>> rows;
};
struct Chart {
  std::string svg;  ///< for the page
  std::string alt;  ///< what it shows, for those who do not see it
};
using Block = std::variant<std::string, Table, Chart>;  ///< text: a paragraph
struct Section {
  std::string heading;
  std::vector<Block> blocks;
};
/// A report before it is either Markdown or a page.
struct Report {
  std::string name;  ///< for its files: "checkpoint-canary"
  std::string title;
  std::string verdict;  ///< one sentence, the first thing read
  std::vector<Section> sections;
};

/// Writes down what was measured: each figure with the request that answers with it, and the end of
/// the journal's chain, so that a later change of the journal shows.
Report make_report(const Books& books, const rollout::WriteReport& what);

std::string to_markdown(const Report& report);
/// One page without scripts or requests; readable in light and dark, and on paper.
std::string to_html(const Report& report);

/// Writes FOLDER/NNNNNN-NAME.md and .html, each in one step; `number` makes a repetition the same
/// files. kFull, kFailed.
Result<void> write_report(const std::string& folder, std::uint64_t number, const Report& report);

}  // namespace covey::control
