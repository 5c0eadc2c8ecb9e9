#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace covey::load {

/// Finds the end of HTTP/1.x answers in the bytes of a connection, in the order they come.
///
/// Made for a generator: it keeps the status and where the body lies, looks at four fields, copies
/// nothing unless the body is chunked, and goes over each byte of a head once. Trusts no byte
/// (fuzz/answer_fuzz.cpp). RFC 9112; answers to HEAD and CONNECT are not for it.
class AnswerReader {
 public:
  static constexpr std::size_t kHeadMax = std::size_t{64} << 10;
  static constexpr std::size_t kBodyMax = std::size_t{64} << 20;

  enum class State {
    kMore,     ///< the answer's end is not here yet
    kAnswer,   ///< one whole answer: the functions below tell of it; next() when done with it
    kGarbled,  ///< no HTTP, or beyond a limit: the connection is of no use any more
  };

  /// `bytes` is all that came since the last answer's end: the same again and more behind it, each
  /// time. `ended`: the server has closed, nothing more will come.
  State read(std::string_view bytes, bool ended = false);

  unsigned status() const { return status_; }
  bool keep_alive() const { return keep_alive_; }
  /// Of `bytes` as given to read().
  std::string_view body(std::string_view bytes) const {
    return chunked_ ? std::string_view(decoded_) : bytes.substr(body_at_, length_);
  }
  /// How many of `bytes` the answer took.
  std::size_t size() const { return end_; }
  void next() { *this = AnswerReader(); }

 private:
  State head(std::string_view bytes);
  bool field(std::string_view line);
  State chunks(std::string_view bytes);

  std::size_t searched_ = 0;  // no head ends before it
  std::size_t begin_ = 0;     // of this head, behind interim answers
  std::size_t body_at_ = 0, length_ = 0, end_ = 0;
  std::size_t chunk_at_ = 0;
  unsigned status_ = 0;
  bool headed_ = false, chunked_ = false, sized_ = false, keep_alive_ = true;
  std::string decoded_;
};

}  // namespace covey::load
