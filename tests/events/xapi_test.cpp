#include "events/xapi.h"

#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/time.h"

namespace covey::events {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Source kSource{"lrs.json", 1, latest_time()};

/// An event in one line, without what it does not carry.
std::string told(const Batch& batch, std::uint32_t row) {
  std::vector<Attribute> attributes;
  const Event e = batch.event(row, attributes);
  std::ostringstream out;
  out << e.id << ' ' << e.learner << ' ' << format_time(e.time) << ' ' << name(e.type);
  if (!e.capability.empty()) out << " capability=" << e.capability;
  if (!e.domain.empty()) out << " domain=" << e.domain;
  if (e.acted_on) out << " acted_on=" << *e.acted_on;
  if (e.score) out << " score=" << *e.score;
  if (e.duration_s) out << " duration_s=" << *e.duration_s;
  return out.str();
}

Parsed parse(std::string_view text, const XapiMapping& mapping = XapiMapping::builtin(),
             const Source& source = kSource) {
  Xapi codec(mapping);
  Parsed out;
  codec.parse(text, source, out);
  return out;
}

/// The single event of `text`, or "rejected: " and the reason.
std::string outcome(std::string_view text, const XapiMapping& mapping = XapiMapping::builtin()) {
  const Parsed out = parse(text, mapping);
  if (out.batch.size() + out.rejected.size() != 1) return "not one row";
  return out.batch.size() == 1 ? told(out.batch, 0) : "rejected: " + out.rejected[0].reason;
}

struct Parts {
  std::string actor = R"({"mbox":"mailto:ada@example.org"})";
  std::string verb = R"({"id":"http://adlnet.gov/expapi/verbs/answered"})";
  std::string object = R"({"id":"http://example.org/q/1"})";
  std::string time = R"("2015-11-18T12:17:00Z")";
  std::string more;
};
std::string statement(const Parts& p = {}) {
  std::string out = "{";
  const auto field = [&out](std::string_view key, const std::string& value) {
    if (value.empty()) return;
    out.append(out.size() > 1 ? "," : "").append("\"").append(key).append("\":").append(value);
  };
  field("actor", p.actor);
  field("verb", p.verb);
  field("object", p.object);
  field("timestamp", p.time);
  return out + p.more + "}";
}

const std::string kPlain =
    "lrs.json:1 ada@example.org 2015-11-18T12:17:00Z practice "
    "capability=http://example.org/q/1 domain=other";

XapiMapping mapping_of(std::string_view rows) {
  auto mapping = XapiMapping::parse(
      "verb,activity_type,event,capability,domain,acted_on\n" + std::string(rows), "my.csv");
  EXPECT_TRUE(mapping.has_value()) << mapping.error().message;
  return *std::move(mapping);
}

std::string verb(std::string_view iri) {
  return "{\"id\":\"" + std::string(iri) + "\"}";
}

// Goal: statements of the three kinds the specification shows in appendix A: simple, a completion,
// and a long one as a record store returns it.
TEST(Xapi, ReadsStatementsAsTheSpecificationShowsThem) {
  const std::string simple = R"({
    "id": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
    "timestamp": "2015-11-18T12:17:00+00:00",
    "actor": {"objectType": "Agent", "name": "Ada", "mbox": "mailto:ada@example.org"},
    "verb": {"id": "http://example.org/verbs#sent", "display": {"en-US": "sent"}},
    "object": {
      "id": "http://example.org/activity/letter",
      "definition": {"name": {"en-US": "letter"}, "description": {"en-US": "A letter."}}
    }
  })";
  EXPECT_EQ(outcome(simple),
            "rejected: no row of xapi-mapping.csv maps verb 'http://example.org/verbs#sent' on an "
            "object without activity type; add one (it begins http://example.org/verbs#sent,*,) "
            "and replay");
  EXPECT_EQ(outcome(simple, mapping_of("http://example.org/verbs#sent,*,practice,"
                                       "object.definition.name,=post,\n")),
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 ada@example.org 2015-11-18T12:17:00Z practice "
            "capability=letter domain=post");

  EXPECT_EQ(outcome(R"({
    "id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12",
    "timestamp": "2015-12-18T12:17:00+02:00",
    "actor": {"objectType": "Agent", "name": "A Learner", "mbox": "mailto:a.learner@example.org"},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/attempted", "display": {"en-US": "attempted"}},
    "object": {"id": "http://example.org/xapi/cbt", "definition": {"name": {"en-US": "A course"}}},
    "result": {"score": {"scaled": 0.95}, "success": true, "completion": true,
               "duration": "PT1234S"}
  })"),
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12 a.learner@example.org 2015-12-18T10:17:00Z "
            "practice capability=http://example.org/xapi/cbt domain=other score=0.95 "
            "duration_s=1234");

  const auto meeting = [](const std::string& actor) {
    return R"({
      "id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13",
      "actor": )" +
           actor + R"(,
      "verb": {"id": "http://adlnet.gov/expapi/verbs/attended", "display": {"en-GB": "attended"}},
      "result": {
        "extensions": {"http://example.org/ext/minutes": "X:\\minutes\\one"},
        "success": true, "completion": true, "response": "We agreed.", "duration": "PT1H0M0S"
      },
      "context": {
        "registration": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a14",
        "contextActivities": {
          "parent": [{"id": "http://example.org/series/267", "objectType": "Activity"}],
          "category": [{"id": "http://example.org/categories/team", "definition": {
            "name": {"en": "team meeting"}, "type": "http://example.org/types/category"}}],
          "other": [{"id": "http://example.org/meetings/1"}, {"id": "http://example.org/meetings/2"}]
        },
        "instructor": {"name": "Grace", "account": {"homePage": "http://example.org", "name": "1"}},
        "team": {"name": "Team", "mbox": "mailto:team@example.org", "objectType": "Group"},
        "platform": "Meetings", "language": "tlh",
        "statement": {"objectType": "StatementRef", "id": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a15"}
      },
      "timestamp": "2013-05-18T05:32:34.804+00:00",
      "stored": "2013-05-18T05:32:35.000+00:00",
      "authority": {"account": {"homePage": "http://example.org/", "name": "anonymous"}},
      "version": "1.0.0",
      "object": {
        "id": "http://example.org/meetings/34534", "objectType": "Activity",
        "definition": {
          "extensions": {"http://example.org/ext/room": {"name": "Kilby"}},
          "name": {"en-GB": "a meeting"}, "type": "http://adlnet.gov/expapi/activities/meeting",
          "moreInfo": "http://example.org/345256"
        }
      }
    })";
  };
  EXPECT_EQ(outcome(meeting(R"({"name": "Team", "mbox": "mailto:team@example.org", "member": [
      {"name": "Ada", "account": {"homePage": "http://www.example.org", "name": "13936749"}},
      {"name": "Toby", "openid": "http://toby.openid.example.org/"}], "objectType": "Group"})")),
            "rejected: actor is a Group, and traits belong to single learners; send one statement "
            "per member");
  EXPECT_EQ(
      outcome(meeting(R"({"account": {"homePage": "http://example.org/", "name": "13936749"}})")),
      "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a13 13936749@example.org 2013-05-18T05:32:34.804Z "
      "practice capability=http://example.org/meetings/34534 "
      "domain=http://example.org/series/267 duration_s=3600");
}

// Goal: each part the standard requires, wrong in each way that matters. First row: the control.
TEST(Xapi, RejectsWhatTheStandardForbidsWithAReason) {
  const std::string mbox = R"("mbox":"mailto:ada@example.org")";
  const std::pair<Parts, std::string> cases[] = {
      {{}, ""},
      {{.actor = ""}, "actor is missing"},
      {{.actor = "\"ada\""}, "actor must be an object"},
      {{.actor = "{}"}, "actor has 0 identifiers"},
      {{.actor = R"({"name":"Ada"})"}, "actor has 0 identifiers"},
      {{.actor = "{" + mbox + R"(,"openid":"http://ada.example.org/"})"},
       "actor has 2 identifiers"},
      {{.actor = R"({"mbox":"ada@example.org"})"}, "actor.mbox must be an address such as mailto:"},
      {{.actor = R"({"mbox":"mailto:ada"})"}, "actor.mbox must be an address"},
      {{.actor = R"({"mbox":7})"}, "actor.mbox must be a text"},
      {{.actor = R"({"mbox_sha1sum":"abc"})"}, "actor.mbox_sha1sum must be 40 hexadecimal digits"},
      {{.actor = R"({"openid":"ada"})"}, "actor.openid must be a full URI"},
      {{.actor = R"({"account":{"name":"7"}})"}, "actor.account.homePage is missing"},
      {{.actor = R"({"account":{"homePage":"http://a.org"}})"}, "actor.account.name is missing"},
      {{.actor = R"({"account":{"homePage":"a.org","name":"7"}})"},
       "homePage must be a full address"},
      {{.actor = R"({"account":"7"})"}, "actor.account must be an object"},
      {{.actor = R"({"objectType":"Group",)" + mbox + "}"}, "actor is a Group"},
      {{.actor = "{" + mbox + R"(,"member":[]})"}, "actor is a Group"},
      {{.actor = R"({"objectType":"Robot",)" + mbox + "}"}, "'Robot' is neither Agent nor Group"},
      {{.verb = ""}, "verb is missing"},
      {{.verb = "{}"}, "verb.id is missing"},
      {{.verb = verb("answered")}, "verb.id 'answered' is not a full IRI"},
      {{.object = ""}, "object is missing"},
      {{.object = "{}"}, "object.id is missing"},
      {{.object = R"({"id":"q1"})"}, "object.id 'q1' is not a full IRI"},
      {{.object = R"({"id":""})"}, "object.id must be a text that is not empty"},
      {{.object = R"({"objectType":"SubStatement"})"}, "object is a SubStatement"},
      {{.object = R"({"objectType":"Thing"})"}, "object.objectType 'Thing' is not known"},
      {{.object = R"({"objectType":"Agent","mbox":"mailto:b@example.org"})"},
       "practice needs a capability, and the statement has no object.id"},
      {{.object = R"({"id":"http://a.org/)" + std::string(300, 'x') + "\"}"},
       "capability has 313 bytes; at most 256 are allowed"},
      {{.verb = verb("http://adlnet.gov/expapi/verbs/voided"),
        .object = R"({"objectType":"StatementRef","id":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"})"},
       "this voids statement a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
      {{.time = ""}, "timestamp is missing, and there is no stored"},
      {{.time = "1447849020"}, "timestamp must be a text"},
      {{.time = "\"2015-11-18T12:17:00\""}, "timestamp: '2015-11-18T12:17:00' is not an RFC 3339"},
      {{.time = "", .more = R"(,"stored":"soon")"}, "stored: 'soon' is not an RFC 3339"},
      {{.time = "\"2031-01-01T00:00:00Z\""}, "5 minutes ahead of the clock"},
      {{.more = R"(,"id":"17")"}, "id '17' is not a UUID"},
      {{.more = R"(,"id":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g")"}, "is not a UUID"},
      {{.more = R"(,"result":[])"}, "result must be an object"},
      {{.more = R"(,"result":{"score":0.5})"}, "result.score must be an object"},
      {{.more = R"(,"result":{"score":{"scaled":1.5}})"}, "result.score.scaled 1.5 is outside -1"},
      {{.more = R"(,"result":{"score":{"scaled":"1"}})"}, "result.score.scaled must be a number"},
      {{.more = R"(,"result":{"score":{"raw":11,"max":10}})"}, "raw 11 is outside min 0 to max 10"},
      {{.more = R"(,"result":{"score":{"raw":1,"min":5,"max":5}})"}, "max 5 is not above min 5"},
      {{.more = R"(,"result":{"success":"yes"})"}, "result.success must be true or false"},
      {{.more = R"(,"result":{"duration":"90"})"}, "result.duration '90' is not an ISO 8601"},
      {{.more = R"(,"context":7)"}, "context must be an object"},
      {{.more = R"(,"context":{"contextActivities":{"grouping":["x"]}})"},
       "context.contextActivities.grouping must hold activities"},
  };
  Source source = kSource;
  source.latest = *parse_time("2030-01-01");
  for (const auto& [parts, reason] : cases) {
    const std::string text = statement(parts);
    SCOPED_TRACE(text);
    // Between two good ones: it must cost itself alone.
    const Parsed out = parse("[" + statement() + "," + text + "," + statement() + "]",
                             XapiMapping::builtin(), source);
    EXPECT_EQ(out.batch.rows(), reason.empty() ? 3u : 2u);
    ASSERT_EQ(out.rejected.size(), reason.empty() ? 0u : 1u);
    if (reason.empty()) continue;
    EXPECT_THAT(out.rejected[0].reason, HasSubstr(reason));
    EXPECT_EQ(out.rejected[0].line, 2u);
    EXPECT_EQ(out.rejected[0].source, "lrs.json");
    EXPECT_EQ(out.rejected[0].format, "xapi");
    EXPECT_EQ(out.rejected[0].row, text);
  }
}

// Goal: the same rules in the other direction: what must be taken. First row: the control.
TEST(Xapi, TakesWhatTheStandardAllows) {
  const auto with = [](std::string from, const std::string& to) {
    std::string out = kPlain;
    return out.replace(out.find(from), from.size(), to);
  };
  const std::string other = "domain=other";
  const std::pair<Parts, std::string> cases[] = {
      {{}, kPlain},
      {{.actor = R"({"mbox_sha1sum":"EBD31E95054C018B10727CCFFD2EF2EC3A016EE9"})"},
       with("ada@example.org", "ebd31e95054c018b10727ccffd2ef2ec3a016ee9")},
      {{.actor = R"({"openid":"http://ada.example.org/"})"},
       with("ada@example.org", "http://ada.example.org/")},
      {{.actor = R"({"account":{"homePage":"https://a.org/moodle//","name":"7"}})"},
       with("ada@example.org", "7@a.org/moodle")},
      {{.time = "", .more = R"(,"stored":"2015-11-18T12:17:00Z")"}, kPlain},
      {{.object = R"({"id":"http://example.org/q/1","objectType":"Activity"})"}, kPlain},
      {{.more = R"(,"result":{}, "context":{}, "attachments":[], "version":"1.0.3")"}, kPlain},
      {{.more = R"(,"result":{"score":{"scaled":-0.5}})"}, with(other, other + " score=0")},
      {{.more = R"(,"result":{"score":{"scaled":1,"raw":3,"max":12}})"},
       with(other, other + " score=1")},
      {{.more = R"(,"result":{"score":{"raw":3,"max":12}})"}, with(other, other + " score=0.25")},
      {{.more = R"(,"result":{"score":{"raw":-1,"min":-2,"max":2}})"},
       with(other, other + " score=0.25")},
      {{.more = R"(,"result":{"score":{"raw":3}})"}, kPlain},  // out of what, it does not say
      {{.more = R"(,"result":{"success":false,"duration":"PT0.5S"})"},
       with(other, other + " duration_s=0.5")},
      {{.more =
            R"(,"context":{"contextActivities":{"grouping":[{"id":"http://a.org/c"},{"id":"http://a.org/d"}]}})"},
       with(other, "domain=http://a.org/c")},
      {{.more = R"(,"context":{"contextActivities":{"grouping":{"id":"http://a.org/c"}}})"},
       with(other, "domain=http://a.org/c")},
      {{.more =
            R"(,"context":{"contextActivities":{"grouping":[],"parent":[{"id":"http://a.org/p"}]}})"},
       with(other, "domain=http://a.org/p")},
      {{.object = R"({"id":"http://example.org/q/1","definition":{"type":"http://a.org/quiz"}})"},
       with(other, "domain=http://a.org/quiz")},
  };
  for (const auto& [parts, want] : cases) EXPECT_EQ(outcome(statement(parts)), want);
}

// Source of the values: xAPI 1.0.3, 4.6, and ISO 8601:2004, 4.4.3.2.
TEST(Xapi, ReadsDurations) {
  const std::pair<std::string, std::string> cases[] = {
      {"PT1234S", "1234"},
      {"PT4H35M59.14S", "16559.1"},
      {"P16559.14S", "16559.1"},
      {"PT0S", "0"},
      {"P4W", "2.4192e+06"},
      {"PT1H0M0S", "3600"},
      {"P3Y", "9.4608e+07"},
      {"P1M", "2.592e+06"},
      {"PT1M", "60"},
      {"P1DT1S", "86401"},
      {"PT0,5H", "1800"},
      {"P1Y2M3DT4H5M6S", "3.69939e+07"},
      {"P", "none"},
      {"PT", "none"},
      {"P1DT", "none"},
      {"", "none"},
      {"1S", "none"},
      {"PT1", "none"},
      {"P4W1D", "none"},
      {"P1D4W", "none"},
      {"PT1S1M", "none"},
      {"PT1M1M", "none"},
      {"PT-1S", "none"},
      {"-PT1S", "none"},
      {"PT1.5M3S", "none"},
      {"PT1.2.3S", "none"},
      {"PT.S", "none"},
      {"PT1e3S", "none"},
      {"P1H", "none"},
      {"PT1D", "none"},
      {"PTT1S", "none"},
      {"PT1S ", "none"},
      {"pt1s", "none"},
      {"PT" + std::string(40, '9') + "S", "none"},
  };
  for (const auto& [text, seconds] : cases) {
    SCOPED_TRACE(text);
    const std::string seen =
        outcome(statement({.more = R"(,"result":{"duration":")" + text + "\"}"}));
    if (seconds == "none") {
      EXPECT_THAT(seen, HasSubstr("rejected: result.duration"));
    } else {
      EXPECT_EQ(seen, kPlain + " duration_s=" + seconds);
    }
  }
}

// Goal: what people with the usual vocabularies get without editing anything.
TEST(Xapi, MapsTheUsualVerbs) {
  const std::string course = "http://adlnet.gov/expapi/activities/course";
  const std::string unit = "https://w3id.org/xapi/cmi5/activitytype/course";
  const struct {
    std::string verb, type, event;
  } cases[] = {
      {"http://adlnet.gov/expapi/verbs/experienced", "", "practice"},
      {"http://adlnet.gov/expapi/verbs/attempted", course, "practice"},
      {"http://adlnet.gov/expapi/verbs/answered", "http://a.org/q", "practice"},
      {"http://adlnet.gov/expapi/verbs/interacted", "", "practice"},
      {"http://adlnet.gov/expapi/verbs/scored", "", "practice"},
      {"http://adlnet.gov/expapi/verbs/commented", "", "practice"},
      {"http://adlnet.gov/expapi/verbs/failed", course, "practice"},
      {"http://adlnet.gov/expapi/verbs/completed", "http://a.org/q", "practice"},
      {"http://adlnet.gov/expapi/verbs/completed", course, "complete"},
      {"http://adlnet.gov/expapi/verbs/passed", course, "complete"},
      {"http://adlnet.gov/expapi/verbs/passed", unit, "complete"},
      {"https://w3id.org/xapi/adl/verbs/satisfied", unit, "complete"},
      {"https://w3id.org/xapi/video/verbs/played", "", "practice"},
      {"https://w3id.org/xapi/video/verbs/seeked", "", "practice"},
      {"http://id.tincanapi.com/verb/viewed", "", "practice"},
      {"http://activitystrea.ms/schema/1.0/watch", "", "practice"},
      {"http://activitystrea.ms/schema/1.0/join", course, "enrol"},
      {"http://activitystrea.ms/schema/1.0/join", "http://a.org/forum", "practice"},
      {"http://adlnet.gov/expapi/verbs/registered", course, "enrol"},
      {"http://id.tincanapi.com/verb/unregistered", course, "withdraw"},
      {"http://activitystrea.ms/schema/1.0/leave", course, "withdraw"},
      {"http://adlnet.gov/expapi/verbs/initialized", "", "session"},
      {"http://adlnet.gov/expapi/verbs/terminated", "", "session"},
      {"http://adlnet.gov/expapi/verbs/launched", "", "session"},
      {"https://w3id.org/xapi/adl/verbs/logged-in", "", "session"},
      {"http://adlnet.gov/expapi/verbs/responded", "", "feedback"},
      {"http://activitystrea.ms/schema/1.0/ignore", "", "feedback"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.verb + " on " + c.type);
    const std::string type = c.type.empty() ? "" : R"(,"definition":{"type":")" + c.type + "\"}";
    const std::string seen = outcome(
        statement({.verb = verb(c.verb), .object = R"({"id":"http://a.org/x")" + type + "}"}));
    EXPECT_THAT(seen, HasSubstr("00Z " + c.event));
    const bool life_cycle = c.event == "enrol" || c.event == "complete" || c.event == "withdraw";
    if (life_cycle) {
      EXPECT_THAT(seen, HasSubstr("domain=http://a.org/x"));
    }
  }
}

TEST(Xapi, TakesEachShapeStatementsArriveIn) {
  const std::string s = statement();
  const std::string bad = statement({.verb = ""});
  struct Case {
    std::string text;
    std::uint64_t first_line;
    std::vector<std::string> ids;
    std::vector<std::uint64_t> rejected;
  };
  const Case cases[] = {
      {s, 1, {"lrs.json:1"}, {}},
      {"[" + s + "," + bad + "," + s + "]", 1, {"lrs.json:1", "lrs.json:3"}, {2}},
      {R"({"statements":[)" + s + "," + s + R"(],"more":"/x?y"})",
       1,
       {"lrs.json:1", "lrs.json:2"},
       {}},
      {"{\"statements\":[\n" + s + ",\n" + s + "\n]}", 1, {"lrs.json:1", "lrs.json:2"}, {}},
      {s + "\n" + bad + "\n\n" + s + "\n", 1, {"lrs.json:1", "lrs.json:4"}, {2}},
      {s + "\r\n  " + s + "\r\n", 1, {"lrs.json:1", "lrs.json:2"}, {}},
      {"\xef\xbb\xbf" + s, 1, {"lrs.json:1"}, {}},
      {"\xef\xbb\xbf[" + s + "]", 1, {"lrs.json:1"}, {}},
      {s, 17, {"lrs.json:17"}, {}},
      {"", 1, {}, {}},
      {" \n\n", 1, {}, {}},
      {"[]", 1, {}, {}},
      {R"({"statements":[]})", 1, {}, {}},
      // Not JSON: one document is one rejection, a line is one, and the others are not lost.
      {"{\"actor\":", 1, {}, {1}},
      {"[" + s + "," + s, 1, {}, {1}},
      {"[\n" + s + ",\n" + s + "\n", 1, {}, {1}},
      {s + "\n{\"actor\":\n" + s + "\n", 1, {"lrs.json:1", "lrs.json:3"}, {2}},
      {"{\"actor\":\n" + s + "\n" + s, 1, {"lrs.json:2", "lrs.json:3"}, {1}},
      {"{\"actor\":{\"mb\n" + s + "\n", 1, {"lrs.json:2"}, {1}},
      {"actor\":{}}\n" + s + "\n", 5, {"lrs.json:6"}, {5}},
      {"[1,\n" + s + "\n", 5, {"lrs.json:6"}, {5}},
      {"nonsense\n" + s + "\nmore\n", 1, {"lrs.json:2"}, {1, 3}},
      {"7", 1, {}, {1}},
      {"[7,null," + s + "]", 1, {"lrs.json:3"}, {1, 2}},
      {"{\"statements\":7}", 1, {}, {1}},
      {"\xff\xfe{}", 1, {}, {1}},
      {std::string(5000, '['), 1, {}, {1}},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.text.substr(0, 200));
    const Parsed out =
        parse(c.text, XapiMapping::builtin(), {"lrs.json", c.first_line, latest_time()});
    std::vector<std::string> ids;
    for (std::uint32_t i = 0; i < out.batch.size(); ++i) ids.emplace_back(out.batch.id(i));
    std::vector<std::uint64_t> rejected;
    for (const auto& r : out.rejected) rejected.push_back(r.line);
    EXPECT_EQ(ids, c.ids);
    EXPECT_EQ(rejected, c.rejected);
  }
  EXPECT_TRUE(Xapi::newline_delimited(s + "\n" + s));
  EXPECT_TRUE(Xapi::newline_delimited("\n" + s + "\n\n  " + s));
  EXPECT_FALSE(Xapi::newline_delimited(s));
  EXPECT_FALSE(Xapi::newline_delimited("[" + s + ",\n" + s + "]"));
  EXPECT_FALSE(Xapi::newline_delimited("{\"statements\":[\n" + s + ",\n" + s + "\n]}"));
  EXPECT_FALSE(Xapi::newline_delimited("{\n\"actor\":{}\n}"));
  EXPECT_FALSE(Xapi::newline_delimited("{\"actor\":{}\n,\"verb\":{}}"));
}

// Goal: a rejected statement, replayed as it was kept, is the event it would have been.
TEST(Xapi, ReplaysARejectedStatementUnderItsId) {
  const std::string line = statement({.verb = verb("http://a.org/did")});
  const std::string laid_out = "[" + statement() + ",\n " + line + "]";
  for (const std::string& text : {statement() + "\n" + line, laid_out}) {
    const Parsed first = parse(text);
    ASSERT_EQ(first.rejected.size(), 1u);
    const Rejection& r = first.rejected[0];
    const Parsed again = parse(r.row, mapping_of("http://a.org/did,*,session,,,\n"),
                               {r.source, r.line, latest_time()});
    ASSERT_EQ(again.batch.rows(), 1u);
    EXPECT_EQ(told(again.batch, 0), "lrs.json:2 ada@example.org 2015-11-18T12:17:00Z session");
  }
}

TEST(XapiMapping, FirstMatchingRowWins) {
  const XapiMapping mapping = mapping_of(
      "# a comment, with, commas and a \" quote\n"
      "http://a.org/v,http://a.org/t1,session,,,\n"
      "\n"
      "*,http://a.org/t2,complete,,=two,\n"
      " http://a.org/v , * , practice , , =three , \n"
      "*,*,practice,,object.definition.name|=four,\n");
  const std::tuple<std::string, std::string, std::string> cases[] = {
      {"http://a.org/v", "http://a.org/t1", "session"},
      {"http://a.org/v", "http://a.org/t2", "complete domain=two"},
      {"http://a.org/w", "http://a.org/t2", "complete domain=two"},
      {"http://a.org/v", "http://a.org/t3", "practice capability=http://a.org/x domain=three"},
      {"http://a.org/w", "http://a.org/t1", "practice capability=http://a.org/x domain=in English"},
  };
  for (const auto& [v, type, want] : cases) {
    EXPECT_THAT(
        outcome(statement({.verb = verb(v),
                           .object = R"({"id":"http://a.org/x","definition":{"type":")" + type +
                                     R"(","name":{"de":"auf Deutsch","en-GB":"in English"}}})"}),
                mapping),
        testing::EndsWith("Z " + want));
  }
  EXPECT_THAT(outcome(statement({.verb = verb("http://a.org/v")}), mapping),
              HasSubstr("domain=three"));
  EXPECT_THAT(outcome(statement({.verb = verb("http://a.org/w")}), mapping),
              HasSubstr("domain=four"));
}

TEST(XapiMapping, ReadsActedOnAndEachDomain) {
  const std::string more =
      R"(,"result":{"success":true,"completion":false},"context":{"contextActivities":{)"
      R"("grouping":[{"id":"g:1"}],"parent":[{"id":"p:1"}],"category":[{"id":"c:1"}]}})";
  const Parts parts{.verb = verb("v:1"),
                    .object = R"({"id":"o:1","definition":{"type":"t:1","name":{"fr":"nom"}}})",
                    .more = more};
  const std::pair<std::string, std::string> cases[] = {
      {"feedback,,,true", "feedback acted_on=1"},
      {"feedback,,,false", "feedback acted_on=0"},
      {"feedback,,,result.success", "feedback acted_on=1"},
      {"feedback,,,result.completion", "feedback acted_on=0"},
      {"practice,,context.grouping,", "practice capability=o:1 domain=g:1"},
      {"practice,object.id,context.parent,", "practice capability=o:1 domain=p:1"},
      {"practice,object.definition.name,context.category,", "practice capability=nom domain=c:1"},
      {"practice,,activity_type,", "practice capability=o:1 domain=t:1"},
      {"practice,,object.definition.name,", "practice capability=o:1 domain=nom"},
      {"enrol,,object.id,", "enrol domain=o:1"},
      {"withdraw,,,", "withdraw"},
      {"complete,,=a b,", "complete domain=a b"},
  };
  for (const auto& [row, want] : cases) {
    SCOPED_TRACE(row);
    EXPECT_THAT(outcome(statement(parts), mapping_of("v:1,*," + row + "\n")),
                testing::EndsWith("Z " + want));
  }
  // Nothing there to take it from.
  const Parts bare{.verb = verb("v:1"), .object = R"({"id":"o:1"})"};
  EXPECT_EQ(outcome(statement(bare), mapping_of("v:1,*,feedback,,,result.success\n")),
            "rejected: feedback takes acted_on from result.success (my.csv, line 2), and the "
            "statement has none");
  EXPECT_EQ(outcome(statement(bare), mapping_of("v:1,*,practice,,context.grouping,\n")),
            "rejected: practice needs a domain, and the statement has no context.grouping; end "
            "that cell of my.csv, line 2, with |=other");
  EXPECT_THAT(outcome(statement(bare), mapping_of("v:1,*,enrol,,context.grouping,\n")),
              testing::EndsWith("Z enrol"));
}

// Goal: every fault of the table is named with its line and what was probably meant. First row:
// the control.
TEST(XapiMapping, NamesTheFaultOfATable) {
  const std::string head = "verb,activity_type,event,capability,domain,acted_on\n";
  const std::pair<std::string, std::string> cases[] = {
      {head + "v:1,*,session,,,\n", ""},
      {"\xef\xbb\xbf# note\n\nevent,verb,activity_type\r\nsession,v:1,*\r\n", ""},
      {"", "m.csv: the table has no rows"},
      {head, "m.csv: the table has no rows"},
      {"verbs,activity_type,event\n", "line 1: 'verbs' is not a column; did you mean 'verb'?"},
      {"verb,verb,event\n", "line 1: column 'verb' is there twice"},
      {"verb,event\n", "line 1: no column 'activity_type'"},
      {head + "v:1,*,session\n", "line 2: 3 cells where the header has 6"},
      {head + "# x\n\nanswered,*,session,,,\n", "line 4: verb 'answered' is not a full IRI"},
      {head + ",*,session,,,\n", "line 2: verb '' is not a full IRI"},
      {head + "v:1,course,session,,,\n", "activity_type 'course' is not a full IRI"},
      {head + "v:1,*,practise,,=x,\n", "'practise' is not an event; did you mean 'practice'?"},
      {head + "v:1,*,ignore,,,\n", "'ignore' is not an event"},
      {head + "v:1,*,purchase,,,\n", "statements do not carry what a purchase needs"},
      {head + "v:1,*,practice,object.ids,=x,\n",
       "capability: 'object.ids' is not a part of a "
       "statement; did you mean 'object.id'?"},
      {head + "v:1,*,practice,,context.groupin,\n", "did you mean 'context.grouping'?"},
      {head + "v:1,*,practice,,,\n", "a practice needs a domain"},
      {head + "v:1,*,practice,,=,\n", "domain: nothing after the ="},
      {head + "v:1,*,practice,,activity_type|,\n", "domain: '' is not a part of a statement"},
      {head + "v:1,*,practice,,=a|activity_type,\n", "'=a' is always there"},
      {head + "v:1,*,practice,,=" + std::string(300, 'x') + ",\n", "domain has 300 bytes"},
      {head + "v:1,*,practice,,=x,true\n", "a practice has no acted_on"},
      {head + "v:1,*,session,object.id,,\n", "a session has no capability"},
      {head + "v:1,*,session,,=x,\n", "a session has no domain"},
      {head + "v:1,*,feedback,,,\n", "acted_on '' of a feedback must be one of true, false, "},
      {head + "v:1,*,feedback,,,result.sucess\n", "did you mean 'result.success'?"},
      {head + "v:1,*,session,,,\"\n", "a quote is not closed"},
      {head + "v:1,*,session,,,\nv:1,t:1,practice,,=x,\n",
       "line 3: this row is never reached, for line 2 takes all it would match"},
      {head + "*,*,session,,,\nv:1,t:1,practice,,=x,\n", "line 3: this row is never reached"},
      {head + "*,t:1,session,,,\nv:1,t:1,practice,,=x,\n", "line 3: this row is never reached"},
      {head + "v:1,t:1,session,,,\nv:1,t:1,practice,,=x,\n", "line 3: this row is never reached"},
  };
  for (const auto& [text, message] : cases) {
    SCOPED_TRACE(text);
    const auto mapping = XapiMapping::parse(text, "m.csv");
    ASSERT_EQ(mapping.has_value(), message.empty()) << (mapping ? "" : mapping.error().message);
    if (mapping) continue;
    EXPECT_EQ(mapping.error().code, Errc::kRejected);
    EXPECT_THAT(mapping.error().message, testing::StartsWith("m.csv"));
    EXPECT_THAT(mapping.error().message, HasSubstr(message));
  }
}

// Goal: the table people copy and the one inside are the same, byte for byte.
TEST(XapiMapping, BuiltinIsTheShippedFile) {
  std::ifstream in(std::string(COVEY_SOURCE_DIR) + "/deploy/xapi-mapping.csv", std::ios::binary);
  const std::string shipped{std::istreambuf_iterator<char>(in), {}};
  EXPECT_EQ(XapiMapping::builtin_text(), shipped)
      << "After editing deploy/xapi-mapping.csv, put it between R\"csv( and )csv\" in "
         "src/events/xapi_mapping.inc.";
  const auto parsed = XapiMapping::parse(shipped, "deploy/xapi-mapping.csv");
  EXPECT_TRUE(parsed.has_value()) << parsed.error().message;
}

}  // namespace
}  // namespace covey::events
