#include "events/csv.h"
#include "events/rows.h"

// The first line is the header.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(text.find('\n'), text.size());
  auto codec = events::Csv::from_header(text.substr(0, end));
  if (!codec) return 0;
  events::Parsed out;
  const std::string_view rows = end == text.size() ? std::string_view() : text.substr(end + 1);
  COVEY_CHECK(events::whole_records(rows) <= rows.size());
  codec->parse(rows, {"fuzz", 2, latest_time()}, out);
  COVEY_CHECK(events::Batch::decode(out.batch.encode()).has_value());
  return 0;
}
