# Finds xxHash, a fast checksum. Makes the target xxHash::xxhash and sets xxHash_FOUND and xxHash_VERSION.
#
# Its CMake package exists only where it was built with CMake (Debian and Ubuntu build it with make).

include(FindPackageHandleStandardArgs)

find_package(xxHash CONFIG QUIET)
if(xxHash_FOUND)
  find_package_handle_standard_args(xxHash CONFIG_MODE)
  return()
endif()

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND)
  pkg_check_modules(PC_XXHASH QUIET libxxhash)
endif()

find_path(xxHash_INCLUDE_DIR xxhash.h HINTS ${PC_XXHASH_INCLUDE_DIRS})
find_library(xxHash_LIBRARY xxhash HINTS ${PC_XXHASH_LIBRARY_DIRS})
mark_as_advanced(xxHash_INCLUDE_DIR xxHash_LIBRARY)

# The header is what we compile against, so its version counts, not pkg-config's.
if(xxHash_INCLUDE_DIR)
  set(xxHash_VERSION "")
  foreach(part MAJOR MINOR RELEASE)
    file(STRINGS "${xxHash_INCLUDE_DIR}/xxhash.h" line REGEX "#[ \t]*define[ \t]+XXH_VERSION_${part}[ \t]+[0-9]+")
    string(REGEX REPLACE ".*XXH_VERSION_${part}[ \t]+([0-9]+).*" "\\1" number "${line}")
    list(APPEND xxHash_VERSION "${number}")
  endforeach()
  list(JOIN xxHash_VERSION "." xxHash_VERSION)
endif()
find_package_handle_standard_args(xxHash
  REQUIRED_VARS xxHash_LIBRARY xxHash_INCLUDE_DIR
  VERSION_VAR xxHash_VERSION)

if(xxHash_FOUND AND NOT TARGET xxHash::xxhash)
  add_library(xxHash::xxhash UNKNOWN IMPORTED)
  set_target_properties(xxHash::xxhash PROPERTIES
    IMPORTED_LOCATION "${xxHash_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${xxHash_INCLUDE_DIR}")
endif()
