# Where sanitized tests spend little time, optimising costs more than it saves: without, clang takes half
# as long. The sanitizers see more then, not less.
function(covey_cold target)
  if(COVEY_SANITIZE)
    target_compile_options(${target} PRIVATE -O0)
  endif()
endfunction()

# Of a template that several objects instantiate, the linker keeps what it meets first. Modules that are
# optimised come before all else therefore: else std::sort is as slow as the slowest that sorts. (So mold
# takes them; another linker takes an archive where it is first needed, and sanitized tests are slower.)
#
# covey_optimised_first(TARGET module...): in front of what TARGET is linked of. The modules are those it uses.
function(covey_optimised_first target)
  if(NOT COVEY_SANITIZE)
    return()
  endif()
  covey_standing_on(modules ${ARGN})
  foreach(module IN LISTS modules)
    get_target_property(optimised ${module} COVEY_OPTIMISED)
    if(optimised)
      add_dependencies(${target} ${module})
      target_link_options(${target} PRIVATE $<TARGET_FILE:${module}>)
    endif()
  endforeach()
endfunction()

# covey_standing_on(RESULT module...): these modules and all they stand on.
function(covey_standing_on result)
  set(all ${ARGN})
  foreach(module IN LISTS ARGN)
    get_target_property(used covey::${module} COVEY_STANDS_ON)
    if(used)
      list(APPEND all ${used})
    endif()
  endforeach()
  list(REMOVE_DUPLICATES all)
  set(${result} ${all} PARENT_SCOPE)
endfunction()

# A module may use lower floors only, so the include graph cannot grow a cycle.
function(covey_module name)
  cmake_parse_arguments(arg "COLD" "FLOOR" "SOURCES;USES;LIBRARIES" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  add_library(covey::${name} ALIAS ${name})
  covey_standing_on(lower ${arg_USES})
  set_target_properties(${name} PROPERTIES COVEY_FLOOR ${arg_FLOOR} COVEY_STANDS_ON "${lower}"
    OUTPUT_NAME covey_${name})
  foreach(used IN LISTS arg_USES)
    get_target_property(floor covey::${used} COVEY_FLOOR)
    if(NOT floor LESS arg_FLOOR)
      message(FATAL_ERROR "${name} (floor ${arg_FLOOR}) may not use ${used} (floor ${floor})")
    endif()
    target_link_libraries(${name} PUBLIC covey::${used})
  endforeach()
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC ${arg_LIBRARIES} PRIVATE covey_warnings)
  if(arg_COLD)
    covey_cold(${name})
    covey_reuse(${name} covey_headers_cold)
  else()
    covey_reuse(${name} covey_headers_hot)
    set_target_properties(${name} PROPERTIES COVEY_OPTIMISED ON)
  endif()
endfunction()

# covey_test(log USES log LIBRARIES ... SOURCES a_test.cpp b_test.cpp [LABELS slow] [TIMEOUT s] [LOCK name] [PROGRAM])
# Tests with the same LOCK never run at once. PROGRAM: they start `covey`, whose path is COVEY_PROGRAM.
# One executable per module; ctest sees every case by its own name. The target tests_LABEL builds
# what carries that label.
function(covey_test name)
  cmake_parse_arguments(arg "PROGRAM" "TIMEOUT;LOCK" "SOURCES;USES;LIBRARIES;LABELS" ${ARGN})
  # What is measured is measured as built for users.
  if(COVEY_SANITIZE AND arg_LABELS MATCHES "calibration|live")
    return()
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  add_executable(${name}_test ${arg_SOURCES})
  list(TRANSFORM arg_USES PREPEND covey:: OUTPUT_VARIABLE used)
  target_link_libraries(${name}_test PRIVATE ${used} ${arg_LIBRARIES} covey_testing covey_warnings)
  covey_reuse(${name}_test covey_headers_tests)
  covey_optimised_first(${name}_test ${arg_USES})
  if(arg_PROGRAM)
    target_compile_definitions(${name}_test PRIVATE COVEY_PROGRAM="$<TARGET_FILE:covey>")
    add_dependencies(${name}_test covey)
  endif()
  foreach(label IN LISTS arg_LABELS)
    if(NOT TARGET tests_${label})
      add_custom_target(tests_${label})
    endif()
    add_dependencies(tests_${label} ${name}_test)
  endforeach()
  # Discovery drops all but the first of a list, so the labels become one word; ctest -L looks for
  # its expression anywhere in it.
  list(JOIN arg_LABELS "+" labels)
  set(properties TIMEOUT ${arg_TIMEOUT})
  if(labels)  # discovery loses an empty word, and takes the next one for it
    list(APPEND properties LABELS ${labels})
  endif()
  if(arg_LOCK)
    list(APPEND properties RESOURCE_LOCK ${arg_LOCK})
  endif()
  gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
    TEST_PREFIX "${name}/" PROPERTIES ${properties})
endfunction()
