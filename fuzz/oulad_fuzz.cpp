#include <algorithm>

#include "events/oulad.h"

// The first line is the header of an events file; the side tables are small and sound.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace covey;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)events::Oulad::from_tables(text, text, text);
  auto codec = events::Oulad::from_tables("course,learner,region\nA,1,Wales\nA,2,\n",
                                          "course,assessment,due_day\nA,7,19\nA,8,\n",
                                          "course,start\nA,2013-10-01\n");
  const std::size_t end = std::min(text.find('\n'), text.size());
  if (!codec->begin_file("events_A.csv", text.substr(0, end))) return 0;
  events::Parsed out;
  codec->parse(end == text.size() ? std::string_view() : text.substr(end + 1),
               {"events_A.csv", 2, latest_time()}, out);
  codec->finish(out);
  COVEY_CHECK(events::Batch::decode(out.batch.encode()).has_value());
  return 0;
}
