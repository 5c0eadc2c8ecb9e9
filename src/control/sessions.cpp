#include "control/sessions.h"

#include <algorithm>
#include <array>

#include <sodium.h>

namespace covey::control {
std::string Sessions::open(const Identity& who) {
  std::array<unsigned char, 32> bytes{};
  random_(bytes);
  char text[64];
  sodium_bin2base64(text, sizeof text, bytes.data(), bytes.size(),
                    sodium_base64_VARIANT_URLSAFE_NO_PADDING);
  const std::lock_guard lock(mutex_);
  expire();
  if (by_digest_.size() >= kMax) {
    by_digest_.erase(
        std::ranges::min_element(by_digest_, {}, [](const auto& s) { return s.second.until; }));
  }
  by_digest_.emplace(digest_of(text), Session{who, clock_.now() + kLife});
  return text;
}

std::optional<Identity> Sessions::find(std::string_view id) {
  if (id.empty()) return std::nullopt;
  // By digest: how long the search takes says nothing of the cookies that are known.
  const std::string digest = digest_of(id);
  const std::lock_guard lock(mutex_);
  const auto at = by_digest_.find(digest);
  if (at == by_digest_.end() || at->second.until <= clock_.now()) return std::nullopt;
  return at->second.who;
}

void Sessions::close(std::string_view id) {
  const std::string digest = digest_of(id);
  const std::lock_guard lock(mutex_);
  by_digest_.erase(digest);
}

void Sessions::expire() {
  const auto now = clock_.now();
  std::erase_if(by_digest_, [now](const auto& s) { return s.second.until <= now; });
}

}  // namespace covey::control
