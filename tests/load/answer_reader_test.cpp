// Answers as servers send them, cut at every byte: what is found must not depend on where.

#include "load/answer_reader.h"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace covey::load {
namespace {

struct Row {
  const char* name;
  std::string bytes;
  AnswerReader::State state;  ///< once the server has ended the connection
  unsigned status = 0;
  std::string body;
  bool keep_alive = true;
  std::size_t behind = 0;  ///< bytes that belong to the next answer
};
void PrintTo(const Row& row, std::ostream* out) {
  *out << row.name;
}

constexpr auto kAnswer = AnswerReader::State::kAnswer;
constexpr auto kGarbled = AnswerReader::State::kGarbled;

const std::string kPlain = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

const Row kAnswers[] = {
    {"plain", kPlain, kAnswer, 200, "hello"},
    {"pipelined", kPlain + kPlain, kAnswer, 200, "hello", true, kPlain.size()},
    {"no reason", "HTTP/1.1 404\r\ncontent-length:0\r\n\r\n", kAnswer, 404, ""},
    {"names in any case", "HTTP/1.1 200 OK\r\nCONTENT-LENGTH: \t3 \r\n\r\nabc", kAnswer, 200,
     "abc"},
    {"closes", "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", kAnswer, 200,
     "", false},
    {"HTTP/1.0 closes", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n!", kAnswer, 200, "!", false},
    {"HTTP/1.0 kept", "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\n!",
     kAnswer, 200, "!"},
    {"to the end", "HTTP/1.1 200 OK\r\n\r\nall of it", kAnswer, 200, "all of it", false},
    {"no content has no body", "HTTP/1.1 204 No Content\r\n\r\n", kAnswer, 204, ""},
    {"interim first", "HTTP/1.1 100 Continue\r\n\r\n" + kPlain, kAnswer, 200, "hello"},
    {"chunked",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n"
     "0\r\nTrailer: t\r\n\r\n",
     kAnswer, 200, "abc0123456789"},
    {"chunked is stronger than a length",
     "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: "
     "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
     kAnswer, 200, "x"},
    {"two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nz",
     kAnswer, 200, "z"},
    {"two lengths that differ",
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nzz", kGarbled},
    {"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", kGarbled},
    {"length beyond all limits", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
     kGarbled},
    {"no HTTP", "SSH-2.0-OpenSSH_9.2p1\r\n\r\n", kGarbled},
    {"another protocol's version", "HTTP/2.0 200 OK\r\n\r\n", kGarbled},
    {"status of letters", "HTTP/1.1 2x0 OK\r\n\r\n", kGarbled},
    {"field without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", kGarbled},
    {"cut in the head", "HTTP/1.1 200 OK\r\nConte", kGarbled},
    {"cut in the body", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", kGarbled},
    {"cut in a chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", kGarbled},
    {"chunk of nonsense", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", kGarbled},
    {"chunk too long by a byte",
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n", kGarbled},
    {"an encoding that is unknown", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", kGarbled},
    {"protocol switched", "HTTP/1.1 101 Switching Protocols\r\n\r\n", kGarbled},
};

class AnswerTable : public ::testing::TestWithParam<Row> {};
INSTANTIATE_TEST_SUITE_P(Answers, AnswerTable, ::testing::ValuesIn(kAnswers));

TEST_P(AnswerTable, IsReadAlikeHoweverItIsCut) {
  const Row& row = GetParam();
  for (std::size_t cut = 0; cut <= row.bytes.size(); ++cut) {
    SCOPED_TRACE(testing::Message() << "cut at " << cut);
    AnswerReader reader;
    auto state = reader.read(std::string_view(row.bytes).substr(0, cut));
    if (state == AnswerReader::State::kMore) state = reader.read(row.bytes);
    if (state == AnswerReader::State::kMore) state = reader.read(row.bytes, true);
    ASSERT_EQ(state, row.state);
    if (state != kAnswer) continue;
    EXPECT_EQ(reader.status(), row.status);
    EXPECT_EQ(reader.body(row.bytes), row.body);
    EXPECT_EQ(reader.keep_alive(), row.keep_alive);
    EXPECT_EQ(reader.size(), row.bytes.size() - row.behind);
  }
}

TEST(AnswerReader, AHeadHasALimit) {
  AnswerReader reader;
  EXPECT_EQ(reader.read("HTTP/1.1 200 OK\r\nX: " + std::string(AnswerReader::kHeadMax, 'x')),
            kGarbled);
}

}  // namespace
}  // namespace covey::load
