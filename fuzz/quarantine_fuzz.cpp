#include "analyzer/quarantine.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto entry = analyzer::decode_quarantined(bytes);
  if (entry) COVEY_CHECK(analyzer::encode(*entry) == bytes);
  return 0;
}
