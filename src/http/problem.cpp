#include "http/problem.h"

#include <fmt/format.h>

#include <iterator>

#include "http/json.h"

namespace covey::http {

std::string_view reason_phrase(unsigned status) {
  switch (status) {
    case 100:
      return "Continue";
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 410:
      return "Gone";
    case 411:
      return "Length Required";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Unknown";
  }
}

void append_problem(std::string& out, unsigned status, std::string_view type,
                    std::string_view detail, std::string_view instance, std::string_view members) {
  fmt::format_to(std::back_inserter(out),
                 R"({{"type":"urn:covey:problem:{}","title":"{}","status":{},"detail":)", type,
                 reason_phrase(status), status);
  append_json_string(out, detail);
  if (!instance.empty()) {
    out += ",\"instance\":";
    append_json_string(out, instance);
  }
  if (!members.empty()) {
    out += ',';
    out += members;
  }
  out += '}';
}

}  // namespace covey::http
