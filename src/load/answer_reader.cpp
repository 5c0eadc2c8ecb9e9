#include "load/answer_reader.h"

#include <algorithm>
#include <charconv>

namespace covey::load {
namespace {

constexpr std::size_t kChunkLineMax = 1'024;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool same(std::string_view a, std::string_view lowered) {
  return a.size() == lowered.size() &&
         std::ranges::equal(a, lowered, [](char x, char y) { return lower(x) == y; });
}
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}
/// Whether one of a list's elements is `lowered`.
bool names(std::string_view list, std::string_view lowered) {
  for (bool more = true; more;) {
    const std::size_t comma = list.find(',');
    more = comma != list.npos;
    if (same(trimmed(list.substr(0, comma)), lowered)) return true;
    if (more) list.remove_prefix(comma + 1);
  }
  return false;
}
bool digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

AnswerReader::State AnswerReader::read(std::string_view bytes, bool ended) {
  while (!headed_) {
    const State found = head(bytes);
    if (found == State::kGarbled || (found == State::kMore && ended)) return State::kGarbled;
    if (found == State::kMore) return State::kMore;
  }
  State state = State::kMore;
  if (chunked_) {
    state = chunks(bytes);
  } else if (sized_) {
    if (bytes.size() - body_at_ >= length_) {
      end_ = body_at_ + length_;
      return State::kAnswer;
    }
  } else {
    length_ = bytes.size() - body_at_;
    end_ = bytes.size();
    keep_alive_ = false;
    if (length_ > kBodyMax) return State::kGarbled;
    return ended ? State::kAnswer : State::kMore;
  }
  return state == State::kMore && ended ? State::kGarbled : state;
}

AnswerReader::State AnswerReader::head(std::string_view bytes) {
  const std::size_t at = bytes.find("\r\n\r\n", std::max(begin_, searched_));
  if (at == bytes.npos) {
    if (bytes.size() - begin_ > kHeadMax) return State::kGarbled;
    searched_ = bytes.size() < 3 ? 0 : bytes.size() - 3;
    return State::kMore;
  }
  if (at - begin_ > kHeadMax) return State::kGarbled;
  std::string_view rest = bytes.substr(begin_, at + 2 - begin_);
  // HTTP/1.1 200 and a reason, which may lack with its space.
  const std::size_t line_end = rest.find("\r\n");
  const std::string_view line = rest.substr(0, line_end);
  if (line.size() < 12 || !line.starts_with("HTTP/1.") || !digit(line[7]) || line[8] != ' ' ||
      !digit(line[9]) || !digit(line[10]) || !digit(line[11]) ||
      (line.size() > 12 && line[12] != ' ')) {
    return State::kGarbled;
  }
  status_ = static_cast<unsigned>((line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0'));
  if (status_ < 100) return State::kGarbled;
  keep_alive_ = line[7] != '0';
  chunked_ = sized_ = false;
  length_ = 0;
  rest.remove_prefix(line_end + 2);
  while (!rest.empty()) {
    const std::size_t end = rest.find("\r\n");
    if (!field(rest.substr(0, end))) return State::kGarbled;
    rest.remove_prefix(end + 2);
  }
  begin_ = body_at_ = at + 4;
  searched_ = 0;
  if (status_ == 101) return State::kGarbled;  // never asked for
  if (status_ < 200) return State::kAnswer;    // an interim answer: the real one follows
  if (status_ == 204 || status_ == 304) {
    chunked_ = false;
    sized_ = true;
    length_ = 0;
  }
  headed_ = true;
  chunk_at_ = body_at_;
  return State::kAnswer;
}

bool AnswerReader::field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == line.npos || colon == 0) return false;
  const std::string_view name = line.substr(0, colon);
  // Most fields are passed over by their length.
  if (name.size() == 14 && same(name, "content-length")) {
    const std::string_view value = trimmed(line.substr(colon + 1));
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
    if (error != std::errc() || end != value.data() + value.size() || length > kBodyMax) {
      return false;
    }
    // Two that differ are how answers are smuggled.
    if (sized_ && length != length_) return false;
    sized_ = true;
    length_ = length;
  } else if (name.size() == 17 && same(name, "transfer-encoding")) {
    if (!same(trimmed(line.substr(colon + 1)), "chunked")) return false;
    chunked_ = true;
  } else if (name.size() == 10 && same(name, "connection")) {
    const std::string_view value = line.substr(colon + 1);
    if (names(value, "close")) {
      keep_alive_ = false;
    } else if (names(value, "keep-alive")) {
      keep_alive_ = true;
    }
  }
  return true;
}

AnswerReader::State AnswerReader::chunks(std::string_view bytes) {
  for (;;) {
    const std::size_t line_end = bytes.find("\r\n", chunk_at_);
    if (line_end == bytes.npos) {
      return bytes.size() - chunk_at_ > kChunkLineMax ? State::kGarbled : State::kMore;
    }
    if (line_end - chunk_at_ > kChunkLineMax) return State::kGarbled;
    std::string_view line = bytes.substr(chunk_at_, line_end - chunk_at_);
    line = trimmed(line.substr(0, line.find(';')));
    std::size_t size = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), size, 16);
    if (error != std::errc() || end != line.data() + line.size() ||
        size > kBodyMax - decoded_.size()) {
      return State::kGarbled;
    }
    const std::size_t data = line_end + 2;
    if (size == 0) {
      // Trailers, then an empty line.
      std::size_t at = data;
      for (;;) {
        const std::size_t stop = bytes.find("\r\n", at);
        if (stop == bytes.npos) {
          return bytes.size() - data > kHeadMax ? State::kGarbled : State::kMore;
        }
        if (stop - data > kHeadMax) return State::kGarbled;
        if (stop == at) break;
        at = stop + 2;
      }
      end_ = at + 2;
      return State::kAnswer;
    }
    if (bytes.size() < data + size + 2) return State::kMore;
    if (bytes.substr(data + size, 2) != "\r\n") return State::kGarbled;
    decoded_.append(bytes.substr(data, size));
    chunk_at_ = data + size + 2;
  }
}

}  // namespace covey::load
