#include "events/xapi.h"

// Read both as statements and as a mapping table.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey;
  const std::string text(reinterpret_cast<const char*>(data), size);
  (void)events::XapiMapping::parse(text, "fuzz.csv");
  events::Xapi codec(events::XapiMapping::builtin());
  events::Parsed out;
  codec.parse(text, {"fuzz", 1, latest_time()}, out);
  COVEY_CHECK(events::Batch::decode(out.batch.encode()).has_value());
  return 0;
}
