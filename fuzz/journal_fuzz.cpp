// What a controller reads back from its own disk: damaged bytes are kCorrupt, never a crash, and
// what is accepted is written as it was read.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "require.h"
#include "rollout/json.h"
#include "telemetry/collector.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto input = rollout::input_from_json(bytes)) {
    const std::string text = rollout::input_to_json(*input);
    const auto again = rollout::input_from_json(text);
    require(again.has_value() && rollout::input_to_json(*again) == text);
  }
  static const telemetry::Shape shape =
      telemetry::Shape::of({"north"}, {std::chrono::milliseconds(50)});
  if (const auto slot = telemetry::decode_slot(shape, bytes)) {
    const auto again = telemetry::decode_slot(shape, telemetry::encode_slot(*slot));
    require(again.has_value() && again->end == slot->end);
  }
  return 0;
}
