// Replays a corpus through a fuzzer's entry point, then some thousand small changes of each file,
// from a fixed seed: what the fast suite can do of fuzzing without libFuzzer.

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/random.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  std::size_t files = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream in(entry.path(), std::ios::binary);
      const std::string seed((std::istreambuf_iterator<char>(in)), {});
      const auto run = [](const std::string& input) {
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
      };
      run(seed);
      covey::Random random(files + 1);
      for (int change = 0; change < 2'000 && !seed.empty(); ++change) {
        std::string input = seed;
        for (std::uint64_t n = random.below(4) + 1; n > 0; --n) {
          const std::size_t at = random.below(input.size());
          switch (random.below(4)) {
            case 0:
              input[at] = static_cast<char>(random.below(256));
              break;
            case 1:
              input.erase(at, random.below(8) + 1);
              break;
            case 2:
              input.insert(at, input.substr(random.below(input.size()), 8));
              break;
            default:
              input[at] = static_cast<char>(input[at] ^ (1 << random.below(8)));
          }
          if (input.empty()) input = "x";
        }
        run(input);
      }
      ++files;
    }
  }
  std::printf("%zu corpus files\n", files);
  return files > 0 ? 0 : 1;
}
