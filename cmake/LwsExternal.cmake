# libwebsockets on Proton's buffers, installed into the prefix, as target lws::websockets.
include(ExternalProject)

# What we choose of libwebsockets' options. Everything else is libwebsockets' default.
set(lws_proton_lws_options
    # A shared library: the event library is loaded into it.
    -DLWS_WITH_SHARED=ON
    -DLWS_WITH_STATIC=OFF
    -DLWS_WITH_EVLIB_PLUGINS=ON
    -DLWS_WITH_PLUGINS=OFF
    # Service threads.
    -DLWS_MAX_SMP=32
    # Protocols.
    -DLWS_IPV6=ON
    -DLWS_WITH_SSL=ON
    -DLWS_WITH_HTTP2=ON
    -DLWS_WITHOUT_CLIENT=OFF
    -DLWS_WITHOUT_EXTENSIONS=OFF
    -DLWS_WITH_ZLIB=ON
    -DLWS_ROLE_RAW_PROXY=ON
    # What a server usually has.
    -DLWS_WITH_RANGES=ON
    -DLWS_WITH_HTTP_PROXY=ON
    -DLWS_WITH_HTTP_BASIC_AUTH=ON
    -DLWS_WITH_ACCESS_LOG=ON
    -DLWS_WITH_PEER_LIMITS=ON
    # Its test server and client.
    -DLWS_WITHOUT_TESTAPPS=OFF
    -DLWS_LINK_TESTAPPS_DYNAMIC=ON
    -DLWS_WITHOUT_TEST_SERVER_EXTPOLL=ON
    -DLWS_WITHOUT_TEST_PING=ON
    -DLWS_WITH_MINIMAL_EXAMPLES=${LWS_PROTON_LWS_TESTS}
    # Without git, the library's version string holds no commit, user or host name.
    -DCMAKE_DISABLE_FIND_PACKAGE_Git=ON)

set(lws_proton_library "${lws_proton_prefix}/lib/liblws_proton.so")
string(REPLACE ";" " " lws_c_flags "${lws_proton_sanitize_flags}")
# libwebsockets has races of its own between its service threads, which it takes for harmless: the
# thread sanitizer is to look at our code only.
if(LWS_PROTON_SANITIZE MATCHES "thread")
    set(lws_c_flags "")
endif()

ExternalProject_Add(lws
    SOURCE_DIR "${lws-src_DIR}"
    BINARY_DIR "${PROJECT_BINARY_DIR}/lws-build"
    INSTALL_DIR "${lws_proton_prefix}"
    DOWNLOAD_COMMAND ""
    # An inner build with nothing to do costs little, and sees every change of the tree.
    BUILD_ALWAYS ON
    USES_TERMINAL_BUILD ON
    DEPENDS lws_proton_installed
    CMAKE_ARGS
        ${lws_proton_lws_options}
        -DLWS_PROTON=ON
        -DLWS_PROTON_DIR=${PROJECT_SOURCE_DIR}/lws-plugin
        -DLWS_PROTON_GLUE_INCLUDE_DIR=${PROJECT_SOURCE_DIR}/proton-glue/include
        -DLWS_PROTON_GLUE_LIBRARY=${lws_proton_library}
        -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}
        -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
        -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER}
        -DCMAKE_C_FLAGS=${lws_c_flags}
        -DCMAKE_INSTALL_PREFIX=<INSTALL_DIR>
        -DCMAKE_INSTALL_LIBDIR=lib
        -DCMAKE_INSTALL_RPATH=$ORIGIN:$ORIGIN/../lib
        -DCMAKE_INSTALL_MESSAGE=LAZY
        -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
    BUILD_BYPRODUCTS "${lws_proton_prefix}/lib/libwebsockets.so")

add_library(lws::websockets SHARED IMPORTED GLOBAL)
add_dependencies(lws::websockets lws)
set_target_properties(lws::websockets PROPERTIES
    IMPORTED_LOCATION "${lws_proton_prefix}/lib/libwebsockets.so"
    INTERFACE_INCLUDE_DIRECTORIES "${lws_proton_prefix}/include")
