#pragma once

namespace covey {

/// What this process takes of its machine, as the kernel counts it.
struct ProcessUse {
  double cpu_seconds = 0;     ///< user and system time since the start
  double resident_bytes = 0;  ///< resident set
  double open_files = 0;      ///< descriptors held now
  double open_files_max = 0;  ///< beyond which the next open() or accept() fails
};

/// From any thread; a few reads of /proc/self. What can't be read stays 0.
ProcessUse process_use();

}  // namespace covey
