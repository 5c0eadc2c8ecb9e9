# Compiler, linker and cache: the settings every target shares.

find_program(COVEY_CCACHE ccache)
if(COVEY_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${COVEY_CCACHE})
endif()
find_program(COVEY_MOLD mold)
# mold can't read g++'s LTO objects without its plugin, so release builds keep the default linker.
if(COVEY_MOLD AND NOT CMAKE_INTERPROCEDURAL_OPTIMIZATION)
  add_link_options(-fuse-ld=mold)
endif()

# x86-64-v2 is the floor; kernels that want more are compiled per file and chosen at run time.
# -ffp-contract=off keeps a kernel and its scalar twin equal to the bit.
add_compile_options(-march=x86-64-v2 -ffp-contract=off -fno-omit-frame-pointer)

# Line tables are what a stack trace needs; tracking every variable as well makes sanitized builds
# half as slow again. For a debugger: -DCMAKE_CXX_FLAGS=-g.
set(CMAKE_CXX_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")

# Collecting its garbage takes g++ a tenth of its time; where memory abounds it may let it lie.
cmake_host_system_information(RESULT memory_mib QUERY TOTAL_PHYSICAL_MEMORY)
cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
math(EXPR memory_mib_a_core "${memory_mib} / ${cores}")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND memory_mib_a_core GREATER 4000)
  add_compile_options(--param=ggc-min-heapsize=1048576)
endif()

if(COVEY_SANITIZE)
  add_compile_options(-fsanitize=${COVEY_SANITIZE} -fno-sanitize-recover=all -O1)
  add_link_options(-fsanitize=${COVEY_SANITIZE})
  add_compile_definitions(COVEY_SANITIZED=1)
  if(COVEY_SANITIZE MATCHES "thread")
    # ThreadSanitizer cannot see fences; the mutex of Asio's queue orders the same accesses.
    add_compile_definitions(COVEY_THREADS_WATCHED=1 BOOST_ASIO_DISABLE_FENCED_BLOCK)
  endif()
endif()

add_library(covey_warnings INTERFACE)
target_compile_options(covey_warnings INTERFACE
  -Wall -Wextra -Werror -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wconversion
  -Wno-sign-conversion -Wcast-align -Wformat=2 -Wimplicit-fallthrough)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # g++ 12 reports these two falsely inside its own library headers when inlining.
  target_compile_options(covey_warnings INTERFACE -Wno-maybe-uninitialized -Wno-restrict)
  if(CMAKE_UNITY_BUILD)
    # It takes a source inside a unity file for a header, whose types with no linkage it warns of.
    target_compile_options(covey_warnings INTERFACE -Wno-subobject-linkage)
  endif()
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # std::stable_sort of g++ 12's library calls what the standard calls deprecated. What shadows what, and
  # which field needs a value, is g++'s to say: clang counts fields and lambdas' own variables in the one,
  # and fields with a default in the other.
  # SHELL keeps them behind -Wextra, which would undo them.
  target_compile_options(covey_warnings INTERFACE
    "SHELL:-Wno-deprecated-declarations -Wno-shadow -Wno-missing-field-initializers")
endif()
