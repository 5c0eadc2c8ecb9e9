#include "analyzer/quarantine.h"

#include <cstring>
#include <optional>

#include "base/hash.h"

namespace covey::analyzer {
namespace {

constexpr char kFormat = 1;
constexpr std::size_t kSourceInKeyMax = 512;

void put_text(std::string& out, std::string_view text) {
  const auto size = static_cast<std::uint32_t>(text.size());
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out.append(text);
}

void put_number(std::string& out, std::uint64_t number) {
  out.append(reinterpret_cast<const char*>(&number), sizeof number);
}

bool take(std::string_view& in, void* to, std::size_t size) {
  if (in.size() < size) return false;
  std::memcpy(to, in.data(), size);
  in.remove_prefix(size);
  return true;
}

bool take_text(std::string_view& in, std::string& text) {
  std::uint32_t size = 0;
  if (!take(in, &size, sizeof size) || in.size() < size) return false;
  text = in.substr(0, size);
  in.remove_prefix(size);
  return true;
}

}  // namespace

std::string quarantine_key(const events::Rejection& rejection) {
  std::string key(kQuarantinePrefix);
  if (rejection.source.size() <= kSourceInKeyMax) {
    key += rejection.source;
  } else {
    const Hash128 hash = hash128(rejection.source);
    key += rejection.source.substr(0, kSourceInKeyMax - 64);
    put_number(key, hash.low);
    put_number(key, hash.high);
  }
  key += '\0';
  for (int shift = 56; shift >= 0; shift -= 8) {  // big-endian, so that lines come in order
    key += static_cast<char>(rejection.line >> shift);
  }
  return key;
}

std::string encode(const Quarantined& entry) {
  std::string out(1, kFormat);
  put_number(out, static_cast<std::uint64_t>(entry.at.time_since_epoch().count()));
  put_number(out, entry.rejection.line);
  put_text(out, entry.rejection.source);
  put_text(out, entry.rejection.reason);
  put_text(out, entry.rejection.row);
  put_text(out, entry.rejection.format);
  put_text(out, entry.rejection.context);
  return out;
}

Result<Quarantined> decode_quarantined(std::string_view bytes) {
  Quarantined entry;
  char format = 0;
  std::int64_t at = 0;
  if (!take(bytes, &format, 1) || format != kFormat || !take(bytes, &at, sizeof at) ||
      !take(bytes, &entry.rejection.line, sizeof entry.rejection.line) ||
      !take_text(bytes, entry.rejection.source) || !take_text(bytes, entry.rejection.reason) ||
      !take_text(bytes, entry.rejection.row) || !take_text(bytes, entry.rejection.format) ||
      !take_text(bytes, entry.rejection.context) || !bytes.empty()) {
    return fail(Errc::kCorrupt, "quarantine: an entry is damaged");
  }
  entry.at = Time(std::chrono::microseconds(at));
  return entry;
}

Result<void> scan_quarantine(
    const log::Log& log, const std::function<bool(std::string_view key, const Quarantined&)>& see) {
  std::optional<Error> error;
  COVEY_TRY_VOID(log.scan(kQuarantinePrefix, {}, [&](std::string_view key, std::string_view value) {
    const auto entry = decode_quarantined(value);
    if (!entry) {
      error = entry.error();
      return false;
    }
    return see(key, *entry);
  }));
  if (error) return std::unexpected(*error);
  return {};
}

}  // namespace covey::analyzer
