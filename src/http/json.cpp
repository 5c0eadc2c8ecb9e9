#include "http/json.h"

#include <fmt/format.h>

#include <cstddef>
#include <iterator>

namespace covey::http {
namespace {

// Length of the UTF-8 sequence at `p`, 0 if it is none (overlong, surrogate, beyond U+10FFFF, cut).
std::size_t utf8_length(const unsigned char* p, std::size_t left) {
  const auto tail = [&](std::size_t i) { return i < left && (p[i] & 0xc0) == 0x80; };
  const unsigned char c = p[0];
  if (c < 0x80) return 1;
  if (c >= 0xc2 && c <= 0xdf) return tail(1) ? 2 : 0;
  if (c >= 0xe0 && c <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    if (c == 0xe0 && p[1] < 0xa0) return 0;
    if (c == 0xed && p[1] > 0x9f) return 0;
    return 3;
  }
  if (c >= 0xf0 && c <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (c == 0xf0 && p[1] < 0x90) return 0;
    if (c == 0xf4 && p[1] > 0x8f) return 0;
    return 4;
  }
  return 0;
}

bool plain(unsigned char c) {
  return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size();) {
    const unsigned char c = bytes[i];
    if (plain(c)) {
      ++i;
      continue;
    }
    if (const std::size_t length = c < 0x80 ? 0 : utf8_length(bytes + i, text.size() - i)) {
      i += length;
      continue;
    }
    out.append(text, begin, i - begin);
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (c >= 0x80) {
          out += "\\ufffd";
        } else {
          fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
        }
    }
    begin = ++i;
  }
  out.append(text, begin, text.size() - begin);
  out += '"';
}

}  // namespace covey::http
