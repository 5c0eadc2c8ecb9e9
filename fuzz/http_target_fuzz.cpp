// What a client writes into a URL: whatever the bytes, the decoders neither crash nor read past
// the end, what they accept obeys the stated limits, and what we encode is read back as it was.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "events/event.h"
#include "http/json.h"
#include "http/target.h"
#include "require.h"
#include "service/target.h"

using namespace covey::http;
using namespace covey::service;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);

  const Target target = split_target(bytes);
  require(target.path.size() + target.query.size() <= bytes.size());
  if (const auto text = percent_decode(bytes)) {
    require(text->size() <= bytes.size() && text->find('\0') == text->npos);
  }
  if (const auto value = query_value(target.query, "cursor"); value && *value) {
    (void)decode_cursor(**value);
    (void)decode_event_cursor(**value);
  }
  if (const auto path = parse_learner_path(bytes)) {
    require(!path->id.empty() && path->id.size() <= covey::events::kLearnerBytesMax);
  }
  if (const auto cursor = decode_cursor(bytes)) {
    require(decode_cursor(encode(*cursor)).value() == *cursor);
  }
  if (const auto cursor = decode_event_cursor(bytes)) {
    require(decode_event_cursor(encode(*cursor)).value() == *cursor);
  }
  (void)parse_number(bytes, "limit", 1, 1000);

  // Escaped text never ends its string early: every bare quote but the outer two is preceded by
  // an odd run of backslashes.
  std::string json;
  append_json_string(json, bytes);
  std::size_t slashes = 0;
  for (std::size_t i = 1; i + 1 < json.size(); ++i) {
    require(static_cast<unsigned char>(json[i]) >= 0x20);
    if (json[i] == '"') require(slashes % 2 == 1);
    slashes = json[i] == '\\' ? slashes + 1 : 0;
  }
  return 0;
}
