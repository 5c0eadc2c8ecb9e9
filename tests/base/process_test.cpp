#include "base/process.h"

#include <gtest/gtest.h>

#include <fstream>

namespace covey {
namespace {

// Goal: the figures are of this process: files, memory and time that it takes show.
TEST(Process, UseIsWhatThisProcessTakes) {
  const ProcessUse before = process_use();
  EXPECT_GT(before.resident_bytes, 1e6);
  EXPECT_GE(before.open_files, 3);
  EXPECT_GT(before.open_files_max, before.open_files);
  const std::ifstream one("/proc/self/status"), two("/proc/self/status");
  volatile double work = 0;
  ProcessUse after = process_use();
  EXPECT_EQ(after.open_files, before.open_files + 2);
  while (after.cpu_seconds < before.cpu_seconds + 0.02) {
    for (int i = 0; i < 1'000'000; ++i) work = work + i;
    after = process_use();
  }
  EXPECT_GT(after.cpu_seconds, before.cpu_seconds);
}

}  // namespace
}  // namespace covey
