#include "control/tokens.h"

#include <algorithm>

#include <fmt/format.h>
#include <sodium.h>

#include "config/document.h"

namespace covey::control {
namespace {

constexpr std::size_t kBytes = crypto_hash_sha256_BYTES;

}  // namespace

std::string digest_of(std::string_view secret) {
  std::string out(kBytes, '\0');
  crypto_hash_sha256(reinterpret_cast<unsigned char*>(out.data()),
                     reinterpret_cast<const unsigned char*>(secret.data()), secret.size());
  return out;
}

Result<Tokens> Tokens::parse(const std::string& file, std::string_view yaml,
                             const plan::Plan& plan) {
  const auto document = COVEY_TRY(config::Document::parse(file, yaml));
  Tokens out;
  config::Table top = document.top();
  if (const auto list = top.require("tokens", "who may act")) {
    for (const config::Value& value : list->list()) {
      config::Table table = value.table();
      Entry entry;
      if (const auto person = table.require("person", "whose token it is")) {
        entry.identity.person = person->text();
      }
      if (const auto role = table.require("role", "what the person may do")) {
        entry.identity.role = role->text();
        const plan::Role* held = plan.role(entry.identity.role);
        if (held == nullptr) {
          role->fault(fmt::format("the plan has no role '{}'", entry.identity.role));
        } else if (std::ranges::find(held->people, entry.identity.person) == held->people.end()) {
          role->fault(fmt::format("{} does not hold the role {} in the plan", entry.identity.person,
                                  entry.identity.role));
        }
      }
      if (const auto sha256 = table.require("sha256", "the token's digest")) {
        const std::string text = sha256->text();
        entry.digest.resize(kBytes);
        std::size_t length = 0;
        if (sodium_hex2bin(reinterpret_cast<unsigned char*>(entry.digest.data()), kBytes,
                           text.data(), text.size(), nullptr, &length, nullptr) != 0 ||
            length != kBytes || text.size() != 2 * kBytes) {
          sha256->fault("a digest is 64 hexadecimal digits; `covey control token` makes one");
        }
      }
      table.done();
      out.entries_.push_back(std::move(entry));
    }
  }
  top.done();
  COVEY_TRY_VOID(document.verdict());
  return out;
}

std::optional<Identity> Tokens::find(std::string_view token) const {
  const std::string digest = digest_of(token);
  std::optional<Identity> out;
  for (const Entry& entry : entries_) {
    if (sodium_memcmp(entry.digest.data(), digest.data(), kBytes) == 0) out = entry.identity;
  }
  return out;
}

std::string token_text(std::span<const unsigned char, 32> bytes) {
  char text[64];
  sodium_bin2base64(text, sizeof text, bytes.data(), bytes.size(),
                    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  return "covey_" + std::string(text);
}

std::string token_line(const Identity& identity, std::string_view token) {
  std::string hex;
  for (const char byte : digest_of(token)) {
    hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return fmt::format("  - {{person: {}, role: {}, sha256: \"{}\"}}\n", identity.person,
                     identity.role, hex);
}

}  // namespace covey::control
