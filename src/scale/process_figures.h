#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

namespace covey::scale {

// What the kernel tells of a process, as text (proc(5)); app/ reads the files.

/// User and system time of /proc/PID/stat in clock ticks; nothing where the text is no such file.
std::optional<std::uint64_t> cpu_ticks(std::string_view stat);
/// A field of /proc/PID/status or /proc/meminfo that is in kB, such as "VmRSS", in bytes.
std::optional<std::uint64_t> kilobytes_field(std::string_view status, std::string_view name);

}  // namespace covey::scale
