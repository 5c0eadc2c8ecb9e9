#include "pages/pages.h"

#include <algorithm>

#include "http/fields.h"
#include "pages/assets.h"

namespace covey::pages {
namespace {

// No inline script or style, no other origin, not inside anybody's frame.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

}  // namespace

std::span<const Asset> assets() {
  return kAssets;
}

const Asset* find(std::string_view path) {
  const auto at = std::ranges::find(kAssets, path, &Asset::path);
  return at == kAssets.end() || path == "/" ? nullptr : &*at;
}

bool wants_page(const http::Request& request) {
  return http::lists(request.field("Accept"), "text/html");
}

void answer(const Asset& asset, const http::Request& request, http::Response& response) {
  const bool gzip = http::lists(request.field("Accept-Encoding"), "gzip");
  response.content_type = asset.content_type;
  response.body = gzip ? asset.gzip : asset.plain;
  if (gzip) response.field("Content-Encoding", "gzip");
  response.field("Vary", "Accept, Accept-Encoding");
  // The next version of the program has another page under the same name.
  response.field("Cache-Control", "no-cache");
  response.field("Content-Security-Policy", kPolicy);
  response.field("Referrer-Policy", "no-referrer");
}

void as_document(http::Response& response) {
  response.field("Content-Security-Policy",
                 "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
                 "form-action 'none'; frame-ancestors 'self'");
}

}  // namespace covey::pages
