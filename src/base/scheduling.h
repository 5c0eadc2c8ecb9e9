#pragma once

namespace covey {

// Wishes of the calling thread to the kernel, for where cores are short. That one is not granted
// does no harm.

/// Other threads come first, by so much more than before as nice(1) says: 0 is nothing, 19 the
/// most.
void step_back(int niceness);

/// To run soon after it wakes, for slices of a tenth of a millisecond: whoever runs then need not
/// come to the end of its own, some milliseconds. For threads that mostly wait, since their share
/// stays the same. Threads and processes made later have none of it. Linux 6.12 and later.
void want_short_slices();
/// As before want_short_slices(): for a thread that has other work now.
void want_usual_slices();

}  // namespace covey
