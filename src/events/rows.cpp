#include "events/rows.h"

#include <algorithm>

#include <fmt/format.h>

namespace covey::events {

std::size_t whole_lines(std::string_view text) {
  const std::size_t last = text.rfind('\n');
  return last == std::string_view::npos ? 0 : last + 1;
}

std::size_t whole_records(std::string_view text) {
  std::size_t whole = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '"') {
      quoted = !quoted;  // a doubled quote turns it off and on again
    } else if (text[i] == '\n' && !quoted) {
      whole = i + 1;
    }
  }
  return whole;
}

std::string_view near_match(std::string_view word, std::span<const std::string_view> known) {
  constexpr std::size_t kLongest = 64;
  std::string_view best;
  std::size_t least = 3;
  if (word.size() > kLongest) return best;
  for (const std::string_view candidate : known) {
    if (candidate.size() > kLongest) continue;
    std::size_t rows[3][kLongest + 1];
    for (std::size_t j = 0; j <= candidate.size(); ++j) rows[0][j] = j;
    for (std::size_t i = 1; i <= word.size(); ++i) {
      auto* now = rows[i % 3];
      const auto* up = rows[(i - 1) % 3];
      now[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const std::size_t change = word[i - 1] == candidate[j - 1] ? 0 : 1;
        now[j] = std::min({up[j] + 1, now[j - 1] + 1, up[j - 1] + change});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1]) {
          now[j] = std::min(now[j], rows[(i - 2) % 3][j - 2] + 1);
        }
      }
    }
    const std::size_t edits = rows[word.size() % 3][candidate.size()];
    if (edits < least && edits * 2 < candidate.size()) {
      least = edits;
      best = candidate;
    }
  }
  return best;
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> known) {
  const std::string_view near = near_match(word, known);
  return near.empty() ? std::string() : fmt::format("; did you mean '{}'?", near);
}

void reject(Parsed& out, const Source& source, std::uint64_t line, std::string reason,
            std::string_view row, std::string_view format) {
  out.rejected.push_back({source.name, line, std::move(reason),
                          std::string(row.substr(0, kRejectedRowBytesMax)), std::string(format),
                          ""});
}

std::string too_late(Time time, const Source& source) {
  if (time <= source.latest) return {};
  return fmt::format(
      "time {} is more than 5 minutes ahead of the clock; mend the sender's clock, or send it "
      "again later",
      format_time(time));
}

bool take(Parsed& out, const Event& event, const Source& source, std::uint64_t line,
          std::string_view row, std::string_view format) {
  std::string broken = fault(event);
  if (broken.empty()) broken = too_late(event.time, source);
  if (broken.empty() && out.batch.full()) {
    broken = "the batch is full; send fewer rows at a time";
  }
  if (!broken.empty()) {
    reject(out, source, line, std::move(broken), row, format);
    return false;
  }
  out.batch.add(event);
  return true;
}

std::size_t next_record(std::string_view text, std::vector<std::string>& cells, bool& sound) {
  // Cells are reused from record to record, so that their room is.
  std::size_t count = 0;
  const auto next_cell = [&]() -> std::string& {
    if (count == cells.size()) cells.emplace_back();
    cells[count].clear();
    return cells[count++];
  };
  sound = true;
  if (text.empty()) {
    cells.clear();
    return 0;
  }
  std::size_t at = 0;
  for (;;) {
    std::string& cell = next_cell();
    if (at < text.size() && text[at] == '"') {
      ++at;
      for (;;) {
        const std::size_t quote = text.find('"', at);
        if (quote == std::string_view::npos) {
          cell.append(text.substr(at));
          sound = false;  // never closed
          cells.resize(count);
          return text.size();
        }
        cell.append(text.substr(at, quote - at));
        at = quote + 1;
        if (at < text.size() && text[at] == '"') {
          cell += '"';
          ++at;
          continue;
        }
        break;
      }
      if (at < text.size() && text[at] != ',' && text[at] != '\n' &&
          !(text[at] == '\r' && (at + 1 == text.size() || text[at + 1] == '\n'))) {
        sound = false;  // text after the closing quote
      }
    }
    const std::size_t end = std::min(text.find_first_of(",\n", at), text.size());
    std::string_view rest = text.substr(at, end - at);
    const bool line_over = end == text.size() || text[end] == '\n';
    if (line_over && !rest.empty() && rest.back() == '\r') rest.remove_suffix(1);
    if (rest.find('"') != std::string_view::npos) sound = false;  // a quote inside a bare cell
    cell.append(rest);
    at = end;
    if (line_over) {
      cells.resize(count);
      return at == text.size() ? at : at + 1;
    }
    ++at;  // the comma
  }
}

}  // namespace covey::events
