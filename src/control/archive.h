#pragma once

#include <cstdint>
#include <string>

#include "control/journal.h"
#include "control/report.h"

namespace covey::control {

/// The reports as they were written at their time, in the controller's folder.
///
/// What was written is noted in the journal with its digest, and only that is shown: a file that
/// somebody put beside, changed or linked there is not the controller's word. Nobody names a path:
/// a report is asked for by its number, and its file's name comes from the journal.

/// Writes a report's files and notes them. `number` is the effect's: a repetition writes the same
/// files again. On the controller's thread. kFull, kFailed: the disk's, or the journal's.
Result<void> archive_report(Journal& journal, const std::string& folder, std::uint64_t number,
                            const Report& report, const rollout::WriteReport& what, Time at);

/// GET /v1/rollout/reports: {"reports": [{number, kind, subject, title, verdict, at}]}, newest
/// first, at most 1,000; those whose files are still there. Any thread. kFailed: the folder's.
Result<Json> archived_reports(const Journal& journal, const std::string& folder);

/// One of them. Any thread. kNotFound: no such report was written, or its file is gone. kCorrupt:
/// the file is another than was written.
Result<std::string> archived_report(const Journal& journal, const std::string& folder,
                                    std::uint64_t number, bool html);

}  // namespace covey::control
