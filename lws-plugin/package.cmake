# SPDX-License-Identifier: MIT
#
# What other builds find the installed library by: pkg-config module and CMake
# package libwebsockets-proton.  Both go by their own place, so the installed
# tree may be moved.

include(CMakePackageConfigHelpers)

# lws's public headers include headers of these: pkg-config modules, packages
set(LWS_PROTON_PC_REQUIRES "")
set(LWS_PROTON_FIND_DEPENDENCIES "")
set(LWS_PROTON_DEP_INCLUDES "")
set(LWS_PROTON_DEP_LIBS "")
if (LWS_WITH_TLS)
	list(APPEND LWS_PROTON_PC_REQUIRES openssl)
	set(LWS_PROTON_FIND_DEPENDENCIES "find_dependency(OpenSSL)")
	set(LWS_PROTON_DEP_INCLUDES ";\${OPENSSL_INCLUDE_DIR}")
	set(LWS_PROTON_DEP_LIBS "OpenSSL::SSL OpenSSL::Crypto")
endif()
if (LWS_HAVE_LIBCAP AND LWS_HAVE_SYS_CAPABILITY_H)
	list(APPEND LWS_PROTON_PC_REQUIRES libcap)
endif()
string(REPLACE ";" ", " LWS_PROTON_PC_REQUIRES "${LWS_PROTON_PC_REQUIRES}")

set(LWS_PROTON_VERSION "${CPACK_PACKAGE_VERSION_MAJOR}.${CPACK_PACKAGE_VERSION_MINOR}.${CPACK_PACKAGE_VERSION_PATCH_NUMBER}")
set(LWS_PROTON_LIB_DIR "${LWS_INSTALL_LIB_DIR}${LIB_SUFFIX}")
set(LWS_PROTON_PC_DIR "${LWS_PROTON_LIB_DIR}/pkgconfig")
set(LWS_PROTON_CMAKE_DIR "${LWS_PROTON_LIB_DIR}/cmake/libwebsockets-proton")
file(RELATIVE_PATH LWS_PROTON_PC_TO_PREFIX "/prefix/${LWS_PROTON_PC_DIR}" "/prefix")
string(REGEX REPLACE "/$" "" LWS_PROTON_PC_TO_PREFIX "${LWS_PROTON_PC_TO_PREFIX}")

configure_file(libwebsockets-proton.pc.in libwebsockets-proton.pc @ONLY)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/libwebsockets-proton.pc"
	DESTINATION "${LWS_PROTON_PC_DIR}" COMPONENT dev)

configure_package_config_file(
	libwebsockets-proton-config.cmake.in
	"${CMAKE_CURRENT_BINARY_DIR}/libwebsockets-proton-config.cmake"
	INSTALL_DESTINATION "${LWS_PROTON_CMAKE_DIR}"
	NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(
	"${CMAKE_CURRENT_BINARY_DIR}/libwebsockets-proton-config-version.cmake"
	VERSION "${LWS_PROTON_VERSION}"
	COMPATIBILITY SameMajorVersion)
install(FILES
	"${CMAKE_CURRENT_BINARY_DIR}/libwebsockets-proton-config.cmake"
	"${CMAKE_CURRENT_BINARY_DIR}/libwebsockets-proton-config-version.cmake"
	DESTINATION "${LWS_PROTON_CMAKE_DIR}" COMPONENT dev)

# One level below where CMake looks, so that only who names it gets it
configure_file(libwebsockets-config.cmake.in libwebsockets-config.cmake @ONLY)
write_basic_package_version_file(
	"${CMAKE_CURRENT_BINARY_DIR}/libwebsockets-config-version.cmake"
	VERSION "${LWS_PROTON_VERSION}"
	COMPATIBILITY SameMajorVersion)
install(FILES
	"${CMAKE_CURRENT_BINARY_DIR}/libwebsockets-config.cmake"
	"${CMAKE_CURRENT_BINARY_DIR}/libwebsockets-config-version.cmake"
	"${PROJECT_SOURCE_DIR}/cmake/LwsCheckRequirements.cmake"
	DESTINATION "${LWS_PROTON_CMAKE_DIR}/as-libwebsockets" COMPONENT dev)
