# ctest.cmake - `ctest -T memcheck` with ullage for its memory checker, which fails if there
# are defects (of itself, `ctest -T memcheck` ends with 0 whatever it finds).
#
# Copy it beside your top CMakeLists.txt, which has include(CTest), and run
#
#     ctest -V -S ctest.cmake

cmake_minimum_required(VERSION 3.18)
set(CTEST_SOURCE_DIRECTORY "${CTEST_SCRIPT_DIRECTORY}")
set(CTEST_BINARY_DIRECTORY "${CTEST_SCRIPT_DIRECTORY}/build-ullage")
set(CTEST_CMAKE_GENERATOR "Unix Makefiles")
set(CTEST_BUILD_CONFIGURATION RelWithDebInfo) # lines for what is found
find_program(CTEST_MEMORYCHECK_COMMAND ullage-memcheck REQUIRED)
set(CTEST_MEMORYCHECK_TYPE Valgrind)

ctest_start(Experimental)
ctest_configure(RETURN_VALUE failed)
if(NOT failed)
  ctest_build(RETURN_VALUE failed)
endif()
if(failed)
  message(FATAL_ERROR "the project could not be built")
endif()
ctest_memcheck(DEFECT_COUNT defects)
if(defects)
  message(FATAL_ERROR "${defects} tests with memory defects: "
    "${CTEST_BINARY_DIRECTORY}/Testing/Temporary/MemoryChecker.*.log")
endif()
