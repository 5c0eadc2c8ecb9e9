#include <algorithm>

#include "events/ndjson.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey;
  const std::string text(reinterpret_cast<const char*>(data), size);
  events::Ndjson codec;
  events::Parsed out;
  codec.parse(text, {"fuzz", 1, latest_time()}, out);
  const auto lines = static_cast<std::uint64_t>(std::ranges::count(text, '\n')) + 1;
  COVEY_CHECK(out.batch.rows() + out.rejected.size() <= lines);
  COVEY_CHECK(events::Batch::decode(out.batch.encode()).has_value());
  return 0;
}
