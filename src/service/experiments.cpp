#include "service/experiments.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace covey::service {

void Experiments::put(ExperimentView view) {
  auto made = std::make_shared<const ExperimentView>(std::move(view));
  const std::lock_guard lock(mutex_);
  const auto at = std::ranges::find(views_, made->name, [](const auto& v) { return v->name; });
  if (at == views_.end()) {
    views_.push_back(std::move(made));
  } else {
    *at = std::move(made);
  }
}

std::shared_ptr<const ExperimentView> Experiments::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto at =
      std::ranges::find(views_, name, [](const auto& v) { return std::string_view(v->name); });
  return at == views_.end() ? nullptr : *at;
}

std::string Experiments::list() const {
  using Json = nlohmann::ordered_json;
  Json all = Json::array();
  const auto maybe = [](const std::optional<Time>& at) {
    return at ? Json(format_time(*at)) : Json(nullptr);
  };
  const auto text = [](const std::string& t) { return t.empty() ? Json(nullptr) : Json(t); };
  const std::lock_guard lock(mutex_);
  for (const auto& view : views_) {
    all.push_back({{"name", view->name},
                   {"question", view->question},
                   {"decision", text(view->decision)},
                   {"verdict", text(view->verdict)},
                   {"as_of", maybe(view->as_of)},
                   {"made", maybe(view->made)},
                   {"took_ms", view->took.count()},
                   {"fault", text(view->fault)}});
  }
  return Json{{"experiments", std::move(all)}}.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace covey::service
