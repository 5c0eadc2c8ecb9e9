#include "events/rows.h"

#include <emmintrin.h>

#include <algorithm>
#include <charconv>
#include <iterator>

#include <fmt/format.h>

namespace covey::events {

std::size_t whole_lines(std::string_view text) {
  const std::size_t last = text.rfind('\n');
  return last == std::string_view::npos ? 0 : last + 1;
}

// Sixteen bytes at a time: a file is looked through once for this alone, and the compiler's own
// vectors widen each byte to eight.
std::uint64_t line_ends(std::string_view text) {
  std::uint64_t count = 0;
  std::size_t at = 0;
  const __m128i wanted = _mm_set1_epi8('\n');
  while (text.size() - at >= 16) {
    __m128i found = _mm_setzero_si128();  // of each of sixteen bytes; 255 rounds fit
    for (int round = 0; round < 255 && text.size() - at >= 16; ++round, at += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + at));
      found = _mm_sub_epi8(found, _mm_cmpeq_epi8(bytes, wanted));
    }
    const __m128i sums = _mm_sad_epu8(found, _mm_setzero_si128());
    count += static_cast<std::uint64_t>(_mm_cvtsi128_si64(sums)) +
             static_cast<std::uint64_t>(_mm_cvtsi128_si64(_mm_unpackhi_epi64(sums, sums)));
  }
  return count + static_cast<std::uint64_t>(std::ranges::count(text.substr(at), '\n'));
}

namespace {

constexpr std::size_t kNpos = std::string_view::npos;

/// How a record ends. `size`: its bytes with the line end; 0 while more text could change that.
struct RecordEnd {
  std::size_t size = 0;
  bool sound = true;
};

/// Finds the end of the record at the start of `text`; `last`: no more text is to come.
RecordEnd record_end(std::string_view text, bool last) {
  const std::size_t line_end = text.find('\n');
  const std::string_view line = text.substr(0, line_end);
  const std::size_t line_size = line_end == kNpos ? (last ? text.size() : 0) : line_end + 1;
  // Most records have no quote; then the line is the record.
  if (std::size_t quote = line.find('"'); quote == kNpos) return {line_size, true};
  const RecordEnd broken{line_size, false};

  std::size_t at = 0;
  for (;;) {
    if (at < text.size() && text[at] == '"') {
      const std::size_t opened = at++;
      for (;;) {
        const std::size_t quote = text.substr(0, opened + kQuotedCellBytesMax).find('"', at);
        if (quote == kNpos) {
          if (text.size() >= opened + kQuotedCellBytesMax || last) return broken;
          return {};
        }
        at = quote + 1;
        if (at == text.size()) return {last ? at : 0, true};
        if (text[at] != '"') break;
        ++at;
      }
      if (text[at] == '\r') {
        if (at + 1 == text.size()) return {last ? at + 1 : 0, true};
        if (text[at + 1] != '\n') return broken;
        ++at;
      }
      if (text[at] == '\n') return {at + 1, true};
      if (text[at] != ',') return broken;
      ++at;
      continue;
    }
    const std::size_t end = std::min(text.find_first_of(",\"\n", at), text.size());
    if (end == text.size()) return {last ? end : 0, true};
    if (text[end] == '"') return broken;
    at = end + 1;
    if (text[end] == '\n') return {at, true};
  }
}

}  // namespace

std::size_t whole_records(std::string_view text) {
  std::size_t whole = 0;
  while (whole < text.size()) {
    const std::size_t size = record_end(text.substr(whole), false).size;
    if (size == 0) break;
    whole += size;
  }
  return whole;
}

std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 64;
  if (text.size() <= kMost) return std::string(text);
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return std::string(text.substr(0, end)) + "...";
}

void place_id(const Source& source, std::uint64_t line, std::string& id) {
  char digits[20];
  const auto [end, error] = std::to_chars(std::begin(digits), std::end(digits), line);
  id.assign(source.name);
  id += ':';
  id.append(digits, end);
}

void reject(Parsed& out, const Source& source, std::uint64_t line, std::string reason,
            std::string_view row, std::string_view format) {
  // Byte by byte only where something is wrong, which is rare.
  if (!text_fault("", reason, reason.size()).empty()) {
    for (std::size_t at = 0; at < reason.size();) {
      std::size_t take = 1;
      while (take < 4 && at + take < reason.size() &&
             (static_cast<unsigned char>(reason[at + take]) & 0xc0) == 0x80) {
        ++take;
      }
      if (text_fault("", std::string_view(reason).substr(at, take), take).empty()) {
        at += take;
      } else {
        reason.replace(at, take, "?");
        ++at;
      }
    }
  }
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
  const RecordEnd record = record_end(text, true);
  sound = record.sound;
  std::string_view rest = text.substr(0, record.size);
  if (rest.ends_with('\n')) rest.remove_suffix(1);
  if (rest.ends_with('\r')) rest.remove_suffix(1);
  // Cells are reused from record to record, so that their room is.
  std::size_t count = 0;
  const auto next_cell = [&]() -> std::string& {
    if (count == cells.size()) cells.emplace_back();
    return cells[count++];
  };
  if (!sound) {
    next_cell() = rest;
  } else if (record.size > 0) {
    for (bool more = true; more;) {
      std::string& cell = next_cell();
      std::size_t at = 0;
      if (!rest.starts_with('"')) {
        at = std::min(rest.find(','), rest.size());
        cell = rest.substr(0, at);
      } else {
        cell.clear();
        for (std::size_t begin = 1;; begin = at + 1) {
          at = rest.find('"', begin);  // there is one, or record_end() had not found it sound
          cell.append(rest.substr(begin, at - begin));
          ++at;
          if (at == rest.size() || rest[at] != '"') break;
          cell += '"';
        }
      }
      more = at < rest.size();
      rest.remove_prefix(std::min(at + 1, rest.size()));
    }
  }
  cells.resize(count);
  return record.size;
}

}  // namespace covey::events
