// Answers of strange servers: whatever the bytes and wherever they are cut, the reader finds the
// same, and nothing outside of them.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "load/answer_reader.h"
#include "require.h"

namespace {

using covey::load::AnswerReader;

struct Found {
  unsigned status;
  std::string body;
  bool keep_alive;
  bool operator==(const Found&) const = default;
};

/// All answers in `bytes`, given `step` bytes more at a time; true if it ended garbled.
bool read_all(std::string_view bytes, std::size_t step, std::vector<Found>& out) {
  AnswerReader reader;
  std::size_t begin = 0, end = 0;
  for (;;) {
    const std::string_view here = bytes.substr(begin, end - begin);
    const bool ended = end == bytes.size();
    if (ended && here.empty()) return false;
    const auto state = reader.read(here, ended);
    if (state == AnswerReader::State::kGarbled) return true;
    if (state == AnswerReader::State::kMore) {
      require(!ended);
      end += step < bytes.size() - end ? step : bytes.size() - end;
      continue;
    }
    require(reader.size() <= here.size() && reader.size() > 0);
    require(reader.status() >= 200 && reader.status() <= 999);
    const std::string_view body = reader.body(here);
    require(body.size() <= here.size());
    out.push_back({reader.status(), std::string(body), reader.keep_alive()});
    begin += reader.size();
    const bool keep = reader.keep_alive();
    reader.next();
    if (!keep) return false;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::size_t step = 1 + data[0] % 16;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  std::vector<Found> whole, pieces;
  const bool garbled = read_all(bytes, bytes.size(), whole);
  require(read_all(bytes, step, pieces) == garbled);
  require(whole == pieces);
  return 0;
}
