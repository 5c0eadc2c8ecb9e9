#pragma once

#include <span>
#include <string_view>

#include "http/server.h"

/// The dashboard, as it was when this program was built: files of web/, made by web/build.mjs.
namespace covey::pages {

struct Asset {
  std::string_view path;  ///< "/" for the page itself, or "/app.js"
  std::string_view content_type;
  std::string_view plain, gzip;  ///< the same, twice
};

/// Every file, the page first.
std::span<const Asset> assets();
/// Null: no such file. The page itself is asked for by wants_page().
const Asset* find(std::string_view path);

/// Whether whoever asks for "/" is a browser rather than a program: it would rather have HTML.
bool wants_page(const http::Request& request);

/// Answers with a file, compressed for those who take it, under a policy that lets the page load
/// and reach nothing but its own origin.
void answer(const Asset& asset, const http::Request& request, http::Response& response);

/// Marks an answer as a page that brings its own style and needs nothing else: a report. It may be
/// shown inside the dashboard.
void as_document(http::Response& response);

}  // namespace covey::pages
