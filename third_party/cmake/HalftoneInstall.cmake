# Installs libraries, public headers, the program and a CMake package `halftone`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/halftone)
set(libraries halftone halftone_core halftone_cpu)
set(HALFTONE_HAS_CUDA OFF)
if(TARGET halftone_cuda)
  list(APPEND libraries halftone_cuda)
  set(HALFTONE_HAS_CUDA ON)
endif()
install(TARGETS ${libraries} EXPORT halftone_targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS halftone_program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY include/halftone DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT halftone_targets NAMESPACE halftone:: DESTINATION ${package_dir})
configure_package_config_file(third_party/cmake/halftone-config.cmake.in
                              ${PROJECT_BINARY_DIR}/halftone-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/halftone-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/halftone-config.cmake ${PROJECT_BINARY_DIR}/halftone-config-version.cmake
              third_party/cmake/FindRE2.cmake third_party/cmake/FindxxHash.cmake
        DESTINATION ${package_dir})
