#pragma once

namespace covey::app {

/// Gives what the program freed back to the kernel now, which breaks huge pages: for who measures
/// memory, and then ends.
void give_memory_back();

/// From now on what is freed goes back to the kernel ten seconds later, in the whole program. For
/// one that runs for months and has a ceiling: what an overload took is not kept.
void return_memory_soon();

/// But what this thread takes from now on stays: columns of millions that come again and again.
void keep_memory_of_this_thread();

}  // namespace covey::app
