#include "control/archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "control/kit.h"

namespace covey::control {
namespace {

namespace fs = std::filesystem;

Report report_of(const std::string& verdict) {
  return {"checkpoint-canary",
          "Checkpoint of canary",
          verdict,
          {{"Criteria", {std::string("all hold")}}}};
}
const rollout::WriteReport kWhat{rollout::ReportKind::kCheckpoint, "canary 1"};

// Goal: what was written is listed and read back; a repetition after a crash replaces it.
TEST(Archive, KeepsWhatWasWritten) {
  Desk desk;
  const std::string folder = desk.dir / "reports";
  EXPECT_EQ(archived_reports(*desk.journal, folder).value()["reports"], Json::array());
  fs::create_directory(folder);
  for (const std::uint64_t number : {7u, 12u, 7u}) {
    const auto done = archive_report(*desk.journal, folder, number,
                                     report_of(fmt::format("{} criteria", number)), kWhat, kBegin);
    ASSERT_TRUE(done) << done.error().message;
  }
  desk.open();  // as the next process does
  const Json list = archived_reports(*desk.journal, folder).value()["reports"];
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["number"], 12);
  EXPECT_EQ(list[1], (Json{{"number", 7},
                           {"kind", "checkpoint"},
                           {"subject", "canary 1"},
                           {"title", "Checkpoint of canary"},
                           {"verdict", "7 criteria"},
                           {"at", "2025-10-31T11:59:50Z"}}));
  EXPECT_EQ(archived_report(*desk.journal, folder, 7, true).value(),
            to_html(report_of("7 criteria")));
  EXPECT_EQ(archived_report(*desk.journal, folder, 7, false).value(),
            to_markdown(report_of("7 criteria")));
  EXPECT_EQ(archived_report(*desk.journal, folder, 8, true).error().code, Errc::kNotFound);
}

// Goal: a file that is not what the controller wrote is never given out as its word.
TEST(Archive, TableOfWhatIsNotItsOwn) {
  struct Case {
    const char* name;
    std::function<void(const fs::path& file)> harm;
    Errc answer;
    bool listed;
  };
  const auto write = [](const fs::path& file, std::string_view text) {
    std::ofstream(file, std::ios::binary) << text;
  };
  const Case kCases[] = {
      {"changed",
       [&](const fs::path& file) { write(file, to_html(report_of("everything is fine"))); },
       Errc::kCorrupt, true},
      {"cut short", [&](const fs::path& file) { fs::resize_file(file, 10); }, Errc::kCorrupt, true},
      {"gone", [](const fs::path& file) { fs::remove(file); }, Errc::kNotFound, false},
      {"a link",
       [&](const fs::path& file) {
         fs::rename(file, file.parent_path() / "elsewhere");
         fs::create_symlink("elsewhere", file);
       },
       Errc::kCorrupt, true},
      {"a folder",
       [](const fs::path& file) {
         fs::remove(file);
         fs::create_directory(file);
       },
       Errc::kCorrupt, true},
  };
  for (const Case& c : kCases) {
    SCOPED_TRACE(c.name);
    Desk desk;
    const std::string folder = desk.dir.path();
    ASSERT_TRUE(archive_report(*desk.journal, folder, 7, report_of("good"), kWhat, kBegin));
    c.harm(fs::path(folder) / "000007-checkpoint-canary.html");
    const auto read = archived_report(*desk.journal, folder, 7, true);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, c.answer) << read.error().message;
    EXPECT_EQ(archived_reports(*desk.journal, folder).value()["reports"].size(),
              c.listed ? 1u : 0u);
  }
  Desk desk;
  const fs::path folder = desk.dir.path();
  write(folder / "000001-checkpoint-canary.html", "planted");
  write(folder / "x.html", "planted");
  EXPECT_EQ(archived_reports(*desk.journal, folder).value()["reports"], Json::array());
  EXPECT_EQ(archived_report(*desk.journal, folder, 1, true).error().code, Errc::kNotFound);
}

}  // namespace
}  // namespace covey::control
