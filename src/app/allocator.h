#pragma once

namespace covey::app {

/// Gives what the program freed back to the kernel now. For who measures memory.
void give_memory_back();

}  // namespace covey::app
