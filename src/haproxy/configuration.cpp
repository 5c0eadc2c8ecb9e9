#include "haproxy/configuration.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/result.h"

namespace covey::haproxy {

std::vector<std::string> Settings::validate() const {
  std::vector<std::string> out;
  for (const std::string& from : trusted) {
    // They become words of a configuration, where a space or a brace would begin something else.
    const bool address =
        !from.empty() && from.size() <= 64 && std::ranges::all_of(from, [](char c) {
          return std::isxdigit(static_cast<unsigned char>(c)) || c == '.' || c == ':' || c == '/';
        });
    if (!address) {
      out.push_back(fmt::format("'{}' is no address or network such as 10.1.0.0/16", from));
    }
  }
  return out;
}

std::string configuration(const plan::Plan& plan, const Settings& settings) {
  const Files& files = settings.files;
  COVEY_CHECK(settings.validate().empty());
  std::string forcing;
  if (!settings.trusted.empty()) {
    forcing = fmt::format(
        R"(    http-request set-var(txn.forced) req.hdr(x-covey-arm) if {{ src {0} }}
    http-request set-var(txn.arm) str(b) if {{ var(txn.forced) -m str b }}
    http-request set-var(txn.arm) str(c) if {{ var(txn.forced) -m str c }} {{ var(txn.threshold),add(0) gt 0 }}
)",
        fmt::join(settings.trusted, " "));
  }
  // A request that failed on the candidate is asked again of the baseline: learners see an answer,
  // the line still says that the candidate failed (retries and server). That goes for GET and HEAD
  // (METH_GET is both): anything else may have been acted upon before the connection was lost, and
  // is sent again only where the connection was never made.
  return fmt::format(
      R"(# Written by covey from the plan '{plan}'; changes are lost at its next start.
global
    nbthread {threads}
    maxconn {connections}
    stats socket {socket} mode 600 level admin
    stats timeout 10s

defaults
    mode http
    option http-keep-alive
    timeout connect 300ms
    timeout client 30s
    timeout server 10s
    timeout http-request 10s
    timeout http-keep-alive 30s

# Keeps lines while the collector is away; what does not fit is lost, and their numbers tell.
ring requests
    format raw
    maxlen 2048
    size 8388608
    timeout connect 1s
    timeout server 10s
    server collector {collector} log-proto octet-count

frontend learners
    bind {listen}
    log ring@requests len 2048 local0 info
    log-format '{version} %lc %pid %Ts%ms %Ta %ST %ts %s %rc %[var(txn.arm)] %[var(txn.threshold)] %[var(txn.bucket)] %[var(txn.us)] %[var(txn.segment),url_enc] %[var(txn.learner),url_enc]'
    http-request disable-l7-retry unless METH_GET
    http-request set-var(txn.begun) date(0,us)
    http-request set-var(txn.us) int(-1)
    http-request set-var(txn.learner) req.hdr(x-learner-id)
    http-request set-var(txn.learner) url_param(learner),url_dec if !{{ var(txn.learner) -m found }}
    http-request set-var(txn.learner) path,field(4,/),url_dec if !{{ var(txn.learner) -m found }} {{ path_beg /v1/learners/ }}
    http-request set-var(txn.segment) req.hdr(x-segment)
    http-request set-var(txn.segment) str(-) if !{{ var(txn.segment) -m found }}
    http-request set-var(txn.bucket) int(9999)
    http-request set-var(txn.bucket) var(txn.learner),lower,xxh32(7),mod(10000) if {{ var(txn.learner) -m found }}
    http-request set-var(txn.threshold) str(threshold),map_str_int({split},0)
    http-request set-var(txn.arm) str(b)
    http-request set-var(txn.arm) str(c) if {{ var(txn.bucket),sub(txn.threshold) lt 0 }}
{forcing}    http-request del-header x-covey-arm
    http-request set-var(txn.learner) str(-) if !{{ var(txn.learner) -m found }}
    http-response set-var(txn.us) date(0,us),sub(txn.begun)
    use_backend candidate if {{ var(txn.arm) -m str c }} {{ nbsrv(candidate) gt 0 }}
    default_backend baseline

backend baseline
    option httpchk GET {baseline_health}
    server baseline {baseline} check inter 1s fall 3 rise 2

backend candidate
    option httpchk GET {candidate_health}
    option redispatch 1
    retries 2
    retry-on conn-failure empty-response response-timeout 503
    server candidate {candidate} check inter 1s fall 2 rise 2 observe layer7 error-limit 10 on-error mark-down
    server baseline {baseline} backup
)",
      fmt::arg("plan", plan.name), fmt::arg("threads", settings.threads),
      fmt::arg("connections", settings.connections_max), fmt::arg("socket", files.admin_socket),
      fmt::arg("collector", settings.collector), fmt::arg("listen", plan.listen),
      fmt::arg("version", kLineVersion), fmt::arg("split", files.split_map),
      fmt::arg("forcing", forcing), fmt::arg("baseline", plan.baseline.address),
      fmt::arg("baseline_health", plan.baseline.health),
      fmt::arg("candidate", plan.candidate.address),
      fmt::arg("candidate_health", plan.candidate.health));
}

}  // namespace covey::haproxy
