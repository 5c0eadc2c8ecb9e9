# Headers that most objects of a sanitized build read are parsed once: clang takes a quarter less time for
# the rest of each. (g++ 12 gains a twentieth, so its builds go without.) Three sets, since a precompiled
# header must have the flags of what it serves: modules, those that are COLD, tests. Sources include what
# they use all the same: the preset `fuzz` builds each on its own.
set(COVEY_PRECOMPILE OFF)
if(COVEY_SANITIZE AND CMAKE_UNITY_BUILD AND CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(COVEY_PRECOMPILE ON)
  # ccache has to know that the header is what its sources are.
  add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
  if(COVEY_CCACHE)
    set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${COVEY_CCACHE})
  endif()
endif()

# covey_precompile(NAME HEADER... LIBRARIES library... [COLD]): the target whose header others reuse.
function(covey_precompile name)
  cmake_parse_arguments(arg "COLD" "" "HEADERS;LIBRARIES" ${ARGN})
  if(NOT COVEY_PRECOMPILE)
    return()
  endif()
  file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp "")
  add_library(${name} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} covey_warnings)
  if(arg_COLD)
    covey_cold(${name})
  endif()
  target_precompile_headers(${name} PRIVATE ${arg_HEADERS})
endfunction()

# covey_reuse(TARGET NAME): TARGET begins with the headers of NAME.
function(covey_reuse target name)
  if(COVEY_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM ${name})
  endif()
endfunction()

set(covey_headers <algorithm> <array> <atomic> <charconv> <chrono> <cmath> <condition_variable> <cstdint>
  <expected> <filesystem> <fstream> <functional> <map> <memory> <mutex> <optional> <random> <ranges> <set>
  <span> <sstream> <string> <string_view> <thread> <unordered_map> <variant> <vector> <fmt/format.h>
  <fmt/ranges.h> <nlohmann/json.hpp>)
set(covey_libraries fmt::fmt nlohmann_json::nlohmann_json)
covey_precompile(covey_headers_hot HEADERS ${covey_headers} LIBRARIES ${covey_libraries})
covey_precompile(covey_headers_cold COLD HEADERS ${covey_headers} <boost/asio.hpp> <boost/beast.hpp>
  LIBRARIES ${covey_libraries} Boost::headers)
