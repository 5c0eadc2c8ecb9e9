#pragma once

#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "scale/criteria.h"

namespace covey::scale {

/// The report on a scale test: for a machine, for a page of text, for a browser.
nlohmann::ordered_json to_json(const Measured& measured, const std::vector<Criterion>& criteria);
/// `plots`: names of the files of plots(), in its order, as the page finds them.
std::string to_markdown(const Measured& measured, const std::vector<Criterion>& criteria,
                        const std::vector<std::string>& plots);
/// A page of its own: nothing is loaded from elsewhere.
std::string to_html(const Measured& measured, const std::vector<Criterion>& criteria);

/// Title and drawing of each plot there is data for: latencies cumulated, latency over time, memory
/// and processor over time, memory and time against learners.
std::vector<std::pair<std::string, std::string>> plots(const Measured& measured);

}  // namespace covey::scale
