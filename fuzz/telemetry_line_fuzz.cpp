// What comes on the telemetry socket: whatever the bytes and however they are cut, frames and lines
// neither crash nor read past the end, a frame is never longer than its limit, and what is read as
// a line obeys the ranges that the collector counts on.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "haproxy/line.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  static const telemetry::Shape shape =
      telemetry::Shape::of({"north", "south"}, {std::chrono::milliseconds(50)});
  telemetry::Collector collector(shape, std::chrono::seconds(1));
  const auto take = [&](std::string_view text) {
    const auto line = haproxy::parse_line(text);
    if (!line) return;
    const telemetry::Request request = haproxy::to_request(*line, shape);
    require(request.segment < shape.segments.size());
    require(line->threshold <= 10'000 && line->bucket <= 9'999);
    collector.add(request);
  };
  take(bytes);
  std::size_t whole = 0, pieces = 0;
  haproxy::Frames at_once([&](std::string_view text) {
    require(text.size() <= 8'192);
    ++whole;
    take(text);
  });
  (void)at_once.take(bytes);
  // Cut anywhere, the same frames come out.
  haproxy::Frames cut([&](std::string_view) { ++pieces; });
  const std::size_t step = 1 + (size > 0 ? data[0] % 7 : 0);
  for (std::size_t at = 0; at < size; at += step) {
    if (!cut.take(bytes.substr(at, std::min(step, size - at)))) break;
  }
  require(whole == pieces);
  (void)collector.close(Time(std::chrono::seconds(1'800'000'000)));
  (void)collector.close(Time(std::chrono::seconds(1'800'000'010)));
  return 0;
}
