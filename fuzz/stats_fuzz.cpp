// A line of `covey stats` from anyone: whatever the bytes, the answer is one JSON object with a
// status, and no number in it is infinite or NaN.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "app/stats_functions.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto answer =
      covey::app::answer_stats(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!answer.contains("status")) std::abort();
  const auto text = answer.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (nlohmann::json::parse(text, nullptr, false).is_discarded()) std::abort();
  return 0;
}
