#include "cohorts/discovery.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey;
  const auto run =
      cohorts::decode_previous(std::string_view(reinterpret_cast<const char*>(data), size));
  if (run) COVEY_CHECK(cohorts::decode_previous(cohorts::encode(*run)).has_value());
  return 0;
}
