#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "plan/plan.h"

namespace covey::control {

/// Who somebody with a token is.
struct Identity {
  std::string person, role;
};

/// The people who may act, by the SHA-256 of their tokens.
///
/// Tokens are 32 random bytes, so a plain digest is as good at rest as a slow one: there is nothing
/// to guess. The file, YAML, holds no token:
///
///     tokens:
///       - {person: Vera, role: vp_engineering, sha256: "9f86..."}
class Tokens {
 public:
  /// kRejected: every fault with its place; also people who do not hold their role in `plan`.
  static Result<Tokens> parse(const std::string& file, std::string_view yaml,
                              const plan::Plan& plan);

  /// Compares with every one in constant time.
  std::optional<Identity> find(std::string_view token) const;
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    Identity identity;
    std::string digest;  ///< 32 bytes
  };
  std::vector<Entry> entries_;
};

/// SHA-256 of a secret, 32 bytes: what is kept in its place.
std::string digest_of(std::string_view secret);
/// A token of 32 random bytes: "covey_" and 43 letters of base64url.
std::string token_text(std::span<const unsigned char, 32> bytes);
/// A line of the file for it.
std::string token_line(const Identity& identity, std::string_view token);

}  // namespace covey::control
