#include "base/hash.h"

#include <gtest/gtest.h>

namespace covey {
namespace {

// Goal: hashes are stored (log checksums, id index), so they must never change. The values are
// the xxhash library's own test vectors for the empty input.
TEST(Hash, IsXxh3) {
  EXPECT_EQ(hash64(""), 0x2d06800538d394c2ULL);
  EXPECT_EQ(hash128("").low, 0x6001c324468d497fULL);
  EXPECT_EQ(hash128("").high, 0x99aa06d3014798d8ULL);
}

TEST(Hash, SeedAndEveryByteMatter) {
  EXPECT_NE(hash64("learner"), hash64("learner", 1));
  EXPECT_NE(hash64("learner"), hash64("learneR"));
  EXPECT_NE(hash64(std::string_view("\0", 1)), hash64(""));
  EXPECT_NE(hash128("a"), hash128("b"));
}

}  // namespace
}  // namespace covey
