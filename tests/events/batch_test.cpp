#include "events/batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "base/random.h"

namespace covey::events {
namespace {

std::uint64_t seed_of(std::uint64_t fallback) {
  const char* wanted = std::getenv("COVEY_SEED");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : fallback;
}

/// A valid event of any type, with everything it may carry.
Event random_event(Random& random, std::deque<std::string>& strings,
                   std::deque<std::vector<Attribute>>& lists) {
  const auto text = [&](std::string_view prefix, std::uint64_t range) -> std::string_view {
    return strings.emplace_back(fmt::format("{}{}", prefix, random.below(range)));
  };
  Event e;
  e.id = text("id-ü-", 1'000'000);
  e.learner = text("learner ", 40);
  e.time = earliest_time() + std::chrono::microseconds(random.below(static_cast<std::uint64_t>(
                                 (latest_time() - earliest_time()).count())));
  e.type = static_cast<EventType>(random.below(kEventTypes));
  e.part = static_cast<RowPart>(random.below(3));
  if (e.type == EventType::kPractice) {
    e.capability = text("c", 100);
    e.domain = text("d", 9);
  } else if (random.chance(.3)) {
    e.domain = text("d", 9);
  }
  if (e.type != EventType::kPractice && random.chance(.2)) e.capability = text("c", 100);
  if (e.type == EventType::kFeedback || random.chance(.1)) e.acted_on = random.chance(.5);
  if (random.chance(.3)) e.score = random.uniform();
  if (random.chance(.3)) e.duration_s = random.uniform() * 1e5;
  if (e.type == EventType::kPurchase || random.chance(.1)) {
    e.amount = random.normal() * 100;
    e.currency = "EUR";
  }
  if (random.chance(.3)) e.count = static_cast<std::uint32_t>(random.next());
  if (e.type == EventType::kProfile || random.chance(.1)) {
    auto& list = lists.emplace_back();
    for (std::uint64_t i = 0; i <= random.below(5); ++i) {
      list.emplace_back(strings.emplace_back(fmt::format("k{}", i)), text("v", 50));
    }
    e.attributes = list;
  }
  return e;
}

void expect_equal(const Event& a, const Event& b) {
  EXPECT_EQ(a.id, b.id);
  EXPECT_EQ(a.learner, b.learner);
  EXPECT_EQ(a.time, b.time);
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.part, b.part);
  EXPECT_EQ(a.capability, b.capability);
  EXPECT_EQ(a.domain, b.domain);
  EXPECT_EQ(a.acted_on, b.acted_on);
  EXPECT_EQ(a.score, b.score);
  EXPECT_EQ(a.duration_s, b.duration_s);
  EXPECT_EQ(a.amount, b.amount);
  EXPECT_EQ(a.currency, b.currency);
  EXPECT_EQ(a.count, b.count);
  EXPECT_TRUE(std::ranges::equal(a.attributes, b.attributes));
}

// Goal: what goes in comes out, from memory, from bytes, and from a selection.
TEST(Batch, KeepsEveryEventWhole) {
  const std::uint64_t seed = seed_of(21);
  SCOPED_TRACE(::testing::Message() << "COVEY_SEED=" << seed);
  Random random(seed);
  for (int round = 0; round < 60; ++round) {
    std::deque<std::string> strings;
    std::deque<std::vector<Attribute>> lists;
    std::vector<Event> events;
    Batch batch;
    std::uint32_t rows = 0;
    for (std::uint64_t n = random.below(120); n > 0; --n) {
      events.push_back(random_event(random, strings, lists));
      ASSERT_EQ(fault(events.back()), "");
      batch.add(events.back());
      rows += events.back().part == RowPart::kWhole ? 1 : 0;
    }
    EXPECT_EQ(batch.rows(), rows);
    const auto back = Batch::decode(batch.encode());
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(back->encode(), batch.encode());
    std::vector<std::uint8_t> keep;
    std::vector<Event> kept;
    for (const Event& e : events) {
      keep.push_back(random.chance(.5) ? 1 : 0);
      if (keep.back() != 0) kept.push_back(e);
    }
    const Batch some = batch.select(keep);
    ASSERT_EQ(some.size(), kept.size());
    std::vector<Attribute> room;
    for (std::uint32_t i = 0; i < batch.size(); ++i) {
      expect_equal(batch.event(i, room), events[i]);
      expect_equal(back->event(i, room), events[i]);
      EXPECT_EQ(back->id_hash()[i], hash128(events[i].id));
    }
    for (std::uint32_t i = 0; i < some.size(); ++i) expect_equal(some.event(i, room), kept[i]);
    if (!events.empty()) {
      const auto [oldest, newest] = std::ranges::minmax(events, {}, &Event::time);
      EXPECT_EQ(back->oldest(), oldest.time);
      EXPECT_EQ(back->newest(), newest.time);
    }
  }
}

// Goal: times are told in the largest unit that fits all of them, and come back exact.
TEST(Batch, TimesOfEveryUnitComeBack) {
  for (const std::int64_t unit : {1'000'000, 1'000, 1, 7}) {
    SCOPED_TRACE(unit);
    Batch batch;
    Event e;
    e.id = "1";
    e.learner = "a";
    const std::vector<std::int64_t> steps = {5, 0, 3, 1'000'000, 2};
    for (const std::int64_t step : steps) {
      e.time = earliest_time() + std::chrono::microseconds(step * unit);
      batch.add(e);
    }
    const auto back = Batch::decode(batch.encode());
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_TRUE(std::ranges::equal(back->time_us(), batch.time_us()));
  }
}

/// One event of each type, together everything an event can carry.
Batch one_of_each_type() {
  static const std::vector<Attribute> attributes = {{"region", "Wales"}, {"age", "35-55"}};
  Batch batch;
  for (std::uint8_t type = 0; type < kEventTypes; ++type) {
    const std::string id = fmt::format("golden.ndjson:{}", type + 1);
    Event e;
    e.id = id;
    e.learner = type % 2 == 0 ? "zoë" : "ada";
    e.time = parse_time("2024-02-29T23:59:59Z").value() + std::chrono::milliseconds(250 * type);
    e.type = static_cast<EventType>(type);
    e.part = static_cast<RowPart>(type % 3);
    if (e.type == EventType::kPractice) {
      e.capability = "fractions";
      e.domain = "maths";
      e.score = .75;
      e.duration_s = 90.5;
      e.count = 3;
    } else if (e.type == EventType::kFeedback) {
      e.acted_on = true;
      e.capability = "fractions";
    } else if (e.type == EventType::kProfile) {
      e.attributes = attributes;
    } else if (e.type == EventType::kEnrol) {
      e.domain = "arts";
    } else if (e.type == EventType::kPurchase) {
      e.amount = -12.5;
      e.currency = "EUR";
      e.acted_on = false;
    }
    batch.add(e);
  }
  return batch;
}

// Goal: what was stored yesterday is read tomorrow, and a change of the bytes is seen in review.
// The file is of the format's first version and stays; later versions add files of their own.
TEST(Batch, BytesAreThoseOfVersion1) {
  const std::string path = COVEY_SOURCE_DIR "/tests/events/golden/batch_v1.bin";
  const Batch batch = one_of_each_type();
  if (std::getenv("COVEY_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << batch.encode();
  }
  std::ifstream in(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const auto back = Batch::decode(bytes);
  ASSERT_TRUE(back) << path << ": " << back.error().message;
  ASSERT_EQ(back->size(), batch.size());
  std::vector<Attribute> room, other_room;
  for (std::uint32_t i = 0; i < batch.size(); ++i) {
    expect_equal(back->event(i, room), batch.event(i, other_room));
  }
  EXPECT_TRUE(bytes == batch.encode()) << "encode() writes other bytes than version 1 has";
}

// Goal: a queue's limit means what it says: a full batch of usual events is small.
TEST(Batch, TakesAbout80BytesAnEvent) {
  constexpr std::uint32_t kEvents = 65'536;
  Random random(3);
  Batch batch;
  for (std::uint32_t i = 0; i < kEvents; ++i) {
    const std::string id = fmt::format("evt-{:08x}", i);
    const std::string learner = fmt::format("learner-{:06}", random.below(kEvents / 50));
    const std::string capability = fmt::format("skill-{}", random.below(1'000));
    Event e;
    e.id = id;
    e.learner = learner;
    e.type = EventType::kPractice;
    e.capability = capability;
    e.domain = "maths";
    e.score = .5;
    batch.add(e);
  }
  EXPECT_LE(static_cast<double>(batch.memory_bytes()) / kEvents, 82);
}

// Goal: no byte of a stored batch may change or be missing unseen.
TEST(Batch, EveryDamageIsCorrupt) {
  Random random(4);
  std::deque<std::string> strings;
  std::deque<std::vector<Attribute>> lists;
  Batch batch;
  for (int i = 0; i < 12; ++i) batch.add(random_event(random, strings, lists));
  const std::string bytes = batch.encode();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string flipped = bytes;
    for (int bits = 1; bits < 256; ++bits) {
      flipped[i] = static_cast<char>(bytes[i] ^ bits);
      const auto decoded = Batch::decode(flipped);
      ASSERT_FALSE(decoded) << "byte " << i << " ^ " << bits;
      ASSERT_EQ(decoded.error().code, Errc::kCorrupt);
    }
    const auto cut = Batch::decode(std::string_view(bytes).substr(0, i));
    ASSERT_FALSE(cut) << "cut at " << i;
    EXPECT_EQ(cut.error().code, Errc::kCorrupt);
  }
  EXPECT_FALSE(Batch::decode(bytes + "x"));
}

// Goal: bytes with a right checksum but wrong content (a bug, or malice) never get through to
// crash a reader. Method: damage behind the checksum, then mend the checksum.
TEST(Batch, SoundChecksumOverNonsenseIsRefusedOrHarmless) {
  const std::uint64_t seed = seed_of(5);
  SCOPED_TRACE(::testing::Message() << "COVEY_SEED=" << seed);
  Random random(seed);
  std::deque<std::string> strings;
  std::deque<std::vector<Attribute>> lists;
  Batch batch;
  for (int i = 0; i < 8; ++i) batch.add(random_event(random, strings, lists));
  const std::string bytes = batch.encode();
  int refused = 0;
  for (int trial = 0; trial < 20'000; ++trial) {
    std::string other = bytes;
    for (std::uint64_t n = random.below(3) + 1; n > 0; --n) {
      other[16 + random.below(other.size() - 16)] = static_cast<char>(random.below(256));
    }
    if (random.chance(.2)) other.resize(16 + random.below(other.size() - 16));
    const std::uint64_t sum = hash64(std::string_view(other).substr(16));
    std::memcpy(other.data() + 8, &sum, sizeof sum);
    const auto decoded = Batch::decode(other);
    if (!decoded) {
      ++refused;
      continue;
    }
    std::vector<Attribute> room;
    for (std::uint32_t i = 0; i < decoded->size(); ++i) {
      EXPECT_EQ(fault(decoded->event(i, room)), "");
    }
  }
  EXPECT_GT(refused, 5'000);
}

TEST(Dictionary, NumbersByFirstUse) {
  Dictionary d;
  for (int round = 0; round < 2; ++round) {
    for (std::uint32_t i = 0; i < 10'000; ++i) ASSERT_EQ(d.intern(fmt::format("text {}", i)), i);
  }
  EXPECT_EQ(d.size(), 10'000u);
  EXPECT_EQ(d[77], "text 77");
  d.clear();
  EXPECT_EQ(d.size(), 0u);
  EXPECT_EQ(d.intern("again"), 0u);
}

// Goal: each rule of the model is enforced, in words a sender can act on.
struct Rule {
  std::string_view says;
  void (*breaks)(Event&);
};
const Rule kRules[] = {
    {"", [](Event&) {}},
    {"learner is missing", [](Event& e) { e.learner = ""; }},
    {"at most 128",
     [](Event& e) {
       static const std::string longest(129, 'x');
       e.learner = longest;
     }},
    {"UTF-8", [](Event& e) { e.learner = "a\xff"; }},
    {"UTF-8", [](Event& e) { e.learner = "a\xc0\xaf"; }},      // overlong
    {"UTF-8", [](Event& e) { e.learner = "a\xed\xa0\x80"; }},  // a surrogate
    {"control characters", [](Event& e) { e.learner = "a\nb"; }},
    {"id is empty", [](Event& e) { e.id = ""; }},
    {"needs a capability", [](Event& e) { e.capability = ""; }},
    {"needs a domain", [](Event& e) { e.domain = ""; }},
    {"needs acted_on", [](Event& e) { e.type = EventType::kFeedback; }},
    {"needs attributes", [](Event& e) { e.type = EventType::kProfile; }},
    {"needs an amount", [](Event& e) { e.type = EventType::kPurchase; }},
    {"needs a currency",
     [](Event& e) {
       e.type = EventType::kPurchase;
       e.amount = 1;
     }},
    {"ISO 4217",
     [](Event& e) {
       e.type = EventType::kPurchase;
       e.amount = 1;
       e.currency = "eur";
     }},
    {"a currency needs an amount", [](Event& e) { e.currency = "EUR"; }},
    {"control characters", [](Event& e) { e.learner = "0123456789\x7f"; }},
    {"control characters",
     [](Event& e) {
       e.domain =
           "01234567\x1f"
           "89abcdef";
     }},
    {"control characters", [](Event& e) { e.capability = "a\xc2\x85"; }},  // next line, C1
    {"outside 0 to 1", [](Event& e) { e.score = 1.5; }},
    {"outside 0 to 1", [](Event& e) { e.score = std::nan(""); }},
    {"duration_s", [](Event& e) { e.duration_s = -1; }},
    {"outside 1900 to 2200", [](Event& e) { e.time = latest_time(); }},
};

TEST(Fault, NamesTheRuleThatIsBroken) {
  for (const Rule& rule : kRules) {
    SCOPED_TRACE(rule.says);
    Event e;
    e.id = "1";
    e.learner = "zoë";
    e.time = earliest_time();
    e.type = EventType::kPractice;
    e.capability = "c";
    e.domain = "d";
    rule.breaks(e);
    const std::string said = fault(e);
    if (rule.says.empty()) {
      EXPECT_EQ(said, "");
    } else {
      EXPECT_NE(said.find(rule.says), std::string::npos) << said;
    }
  }
}

}  // namespace
}  // namespace covey::events
