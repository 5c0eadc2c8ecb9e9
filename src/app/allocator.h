#pragma once

namespace covey::app {

/// Gives what the program freed back to the kernel now, which breaks huge pages: for who measures
/// memory, and then ends.
void give_memory_back();

}  // namespace covey::app
