// Fields of strangers' requests: whatever the bytes, what is found lies inside them and was there.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/fields.h"
#include "require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::string_view value = http::cookie(bytes, "covey_session");
  require(value.find(';') == value.npos);
  require(value.empty() || bytes.find("covey_session=" + std::string(value)) != bytes.npos);
  require(!http::lists(bytes, "gzip") || bytes.find("gzip") != bytes.npos);
  require(http::lists(std::string(bytes) + ",text/html", "text/html") ||
          bytes.find("text/html") != bytes.npos);
  return 0;
}
