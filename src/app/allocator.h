#pragma once

namespace covey::app {

/// Gives what the program freed back to the kernel now, which breaks huge pages: for who measures
/// memory, and then ends.
void give_memory_back();

/// From now on this thread takes memory that goes back to the kernel within seconds of being freed:
/// for bodies of requests, of which an overload brings many and nobody needs as many again.
void use_passing_memory();

}  // namespace covey::app
