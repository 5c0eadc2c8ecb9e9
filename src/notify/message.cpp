#include "notify/message.h"

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/time.h"

namespace covey::notify {
namespace {

using Json = nlohmann::ordered_json;
using Kind = plan::Channel::Kind;

/// An alert that nobody renews ends by itself. The controller renews those of open incidents every
/// hour, so that one outlives a controller that is away for the night.
constexpr std::chrono::hours kAlertLasts{12};

std::string_view severity(const Message& m) {
  return m.what.severity ? plan::name(*m.what.severity) : std::string_view("info");
}

std::string joined(const std::vector<std::string>& people) {
  std::string out;
  for (const std::string& person : people) out += (out.empty() ? "" : ", ") + person;
  return out;
}

Json alert(const Message& m) {
  Json labels = {{"alertname", "CoveyRollout"},
                 {"plan", m.plan},
                 {"severity", severity(m)},
                 {"incident", std::to_string(m.what.incident)}};
  // What is told of no incident is an alert of its own.
  if (m.what.incident == 0) labels["title"] = m.what.title;
  Json annotations = {{"summary", m.what.title}, {"description", m.what.text}};
  if (!m.what.people.empty()) annotations["people"] = joined(m.what.people);
  Json out = {{"labels", std::move(labels)}, {"annotations", std::move(annotations)}};
  // An alert's end is its resolution; Alertmanager takes starts from the first it sees.
  out["endsAt"] = format_time(m.what.resolved ? m.at : m.at + kAlertLasts);
  if (!m.link.empty()) out["generatorURL"] = m.link;
  return Json::array({std::move(out)});
}

Json plain(const Message& m) {
  Json out = {{"id", m.id},
              {"at", format_time(m.at)},
              {"plan", m.plan},
              {"severity", severity(m)},
              {"title", m.what.title},
              {"text", m.what.text},
              {"people", m.what.people},
              {"resolved", m.what.resolved}};
  if (m.what.incident != 0) out["incident"] = m.what.incident;
  if (!m.link.empty()) out["link"] = m.link;
  return out;
}

Json slack(const Message& m) {
  std::string text = "*" + escaped_angles(m.what.title) + "*";
  if (m.what.severity)
    text = (m.what.resolved ? "resolved: " : std::string(severity(m)) + ": ") + text;
  if (!m.what.text.empty()) text += "\n" + escaped_angles(m.what.text);
  if (!m.what.people.empty()) text += "\nfor " + escaped_angles(joined(m.what.people));
  if (!m.link.empty()) text += "\n<" + m.link + ">";
  return {{"text", std::move(text)}};
}

Json cloud_event(const Message& m) {
  return {{"specversion", "1.0"},
          {"id", m.id},
          {"source", "/covey/rollout/" + m.plan},
          {"type", "covey.rollout.notification"},
          {"time", format_time(m.at)},
          {"datacontenttype", "application/json"},
          {"data", plain(m)}};
}

}  // namespace

std::string target(const plan::Channel& channel, std::string_view path) {
  if (channel.kind != Kind::kAlertmanager) return std::string(path);
  std::string base(path);
  while (base.ends_with('/')) base.pop_back();
  return base + "/api/v2/alerts";
}

std::string_view content_type(Kind kind) {
  return kind == Kind::kCloudEvents ? "application/cloudevents+json" : "application/json";
}

std::string body(Kind kind, const Message& message) {
  Json json;
  switch (kind) {
    case Kind::kAlertmanager:
      if (!message.what.severity) return {};
      json = alert(message);
      break;
    case Kind::kSlack:
      json = slack(message);
      break;
    case Kind::kCloudEvents:
      json = cloud_event(message);
      break;
    case Kind::kWebhook:
      json = plain(message);
      break;
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace covey::notify
