#include "base/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

namespace covey {

ProcessUse process_use() {
  ProcessUse out;
  rusage use{};
  ::getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  out.cpu_seconds = seconds(use.ru_utime) + seconds(use.ru_stime);

  std::ifstream statm("/proc/self/statm");
  double pages = 0, resident = 0;
  statm >> pages >> resident;
  out.resident_bytes = resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
  statm.close();  // not to be counted below

  std::error_code error;
  const std::filesystem::directory_iterator files("/proc/self/fd", error);
  // One of them is the iterator's own.
  if (!error) out.open_files = static_cast<double>(std::distance(begin(files), end(files)) - 1);
  rlimit most{};
  if (::getrlimit(RLIMIT_NOFILE, &most) == 0) {
    out.open_files_max = static_cast<double>(most.rlim_cur);
  }
  return out;
}

}  // namespace covey
