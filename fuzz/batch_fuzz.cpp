#include <cstring>

#include "base/hash.h"
#include "events/batch.h"

// The checksum is put right first, or nothing would ever get behind it.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.size() >= 16) {
    const std::uint64_t sum = hash64(std::string_view(bytes).substr(16));
    std::memcpy(bytes.data() + 8, &sum, sizeof sum);
  }
  const auto batch = events::Batch::decode(bytes);
  if (!batch) return 0;
  std::vector<events::Attribute> room;
  for (std::uint32_t i = 0; i < batch->size(); ++i) {
    COVEY_CHECK(events::fault(batch->event(i, room)).empty());
  }
  COVEY_CHECK(events::Batch::decode(batch->encode()).has_value());
  return 0;
}
