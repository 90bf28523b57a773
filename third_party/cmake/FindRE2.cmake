# Finds RE2, Google's regular expressions. Makes the target re2::re2 and sets RE2_FOUND.
#
# RE2 has a CMake package of its own only where it was built with CMake (not in Debian 12). That one comes
# first: newer versions of RE2 need Abseil, and only RE2's own package knows which part of it.
# RE2_VERSION is set where the library tells it; Debian's pkg-config file says 0.0.0 and the headers say nothing.

include(FindPackageHandleStandardArgs)

find_package(re2 CONFIG QUIET)
if(re2_FOUND)
  set(RE2_VERSION "${re2_VERSION}")
  find_package_handle_standard_args(RE2 REQUIRED_VARS re2_DIR VERSION_VAR RE2_VERSION)
  return()
endif()

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_RE2 QUIET re2)
endif()

find_path(RE2_INCLUDE_DIR re2/re2.h HINTS ${PC_RE2_INCLUDE_DIRS})
find_library(RE2_LIBRARY re2 HINTS ${PC_RE2_LIBRARY_DIRS})
mark_as_advanced(RE2_INCLUDE_DIR RE2_LIBRARY)

if(PC_RE2_VERSION AND NOT PC_RE2_VERSION STREQUAL "0.0.0")
  set(RE2_VERSION "${PC_RE2_VERSION}")
endif()
find_package_handle_standard_args(RE2 REQUIRED_VARS RE2_LIBRARY RE2_INCLUDE_DIR VERSION_VAR RE2_VERSION)

if(RE2_FOUND AND NOT TARGET re2::re2)
  find_package(Threads REQUIRED) # RE2 guards its caches with std::call_once and mutexes
  add_library(re2::re2 UNKNOWN IMPORTED)
  set_target_properties(re2::re2 PROPERTIES
    IMPORTED_LOCATION "${RE2_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${RE2_INCLUDE_DIR}"
    INTERFACE_LINK_LIBRARIES Threads::Threads)
endif()
