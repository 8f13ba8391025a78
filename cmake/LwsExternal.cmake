# libwebsockets on Proton's buffers, installed into the prefix, as target lws::websockets.
include(ExternalProject)

# What we choose of libwebsockets' options, first what makes its protocols do what they do: stock
# libwebsockets is built with the same. Everything else is libwebsockets' default.
set(lws_proton_lws_features
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
    # Nothing outside of the build directory, such as the package registry in the user's home.
    -DCMAKE_EXPORT_NO_PACKAGE_REGISTRY=ON
    # Without git, the library's version string holds no commit, user or host name.
    -DCMAKE_DISABLE_FIND_PACKAGE_Git=ON)

set(lws_proton_lws_options
    ${lws_proton_lws_features}
    # A shared library: the event library is loaded into it.
    -DLWS_WITH_SHARED=ON
    -DLWS_WITH_STATIC=OFF
    -DLWS_WITH_EVLIB_PLUGINS=ON
    -DLWS_WITH_PLUGINS=OFF
    # Its test server and client.
    -DLWS_WITHOUT_TESTAPPS=OFF
    -DLWS_LINK_TESTAPPS_DYNAMIC=ON
    -DLWS_WITHOUT_TEST_SERVER_EXTPOLL=ON
    -DLWS_WITHOUT_TEST_PING=ON)

set(lws_proton_library "${lws_proton_prefix}/${lws_proton_libdir}/liblws_proton.so")
set(lws_library "${lws_proton_prefix}/${lws_proton_libdir}/libwebsockets-proton.so")
file(RELATIVE_PATH lws_bin_to_lib "/prefix/bin" "/prefix/${lws_proton_libdir}")
string(JOIN " " lws_c_flags ${lws_proton_sanitize_flags} ${lws_proton_hardening_flags})
string(JOIN " " lws_link_flags ${lws_proton_hardening_link_flags})
# GCC warns of more, and falsely, when it instruments: what, depends on how long the tree's path is.
set(lws_disable_werror OFF)
if(LWS_PROTON_SANITIZE)
    set(lws_disable_werror ON)
endif()
# OpenSSL's macros put the name of the source file into the library.
string(APPEND lws_c_flags " -fmacro-prefix-map=${lws-src_DIR}/=")

# For every build of libwebsockets on Proton.
set(lws_proton_lws_arguments
    ${lws_proton_lws_options}
    -DLWS_PROTON=ON
    -DLWS_PROTON_DIR=${PROJECT_SOURCE_DIR}/lws-plugin
    -DLWS_PROTON_GLUE_INCLUDE_DIR=${PROJECT_SOURCE_DIR}/proton-glue/include
    -DLWS_PROTON_GLUE_LIBRARY=${lws_proton_library}
    -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}
    -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
    -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER}
    -DCMAKE_C_FLAGS=${lws_c_flags}
    -DCMAKE_EXE_LINKER_FLAGS=${lws_link_flags}
    -DCMAKE_MODULE_LINKER_FLAGS=${lws_link_flags}
    -DCMAKE_SHARED_LINKER_FLAGS=${lws_link_flags})

# What is compiled against a header has to follow in the same run: lws_config.h says which members
# lws's structures have, and a patch may change any other.
file(GLOB_RECURSE lws_installed_headers RELATIVE "${lws-src_DIR}/include"
    "${lws-src_DIR}/include/*.h")
list(APPEND lws_installed_headers lws_config.h)
list(TRANSFORM lws_installed_headers PREPEND "${lws_proton_prefix}/${lws_proton_includedir}/")

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
        ${lws_proton_lws_arguments}
        -DDISABLE_WERROR=${lws_disable_werror}
        # Of where it is installed in the end; lws_config.h holds it.
        -DCMAKE_INSTALL_PREFIX=${CMAKE_INSTALL_PREFIX}
        -DCMAKE_PROJECT_libwebsockets_INCLUDE=${PROJECT_SOURCE_DIR}/cmake/LwsTestServer.cmake
        -DLWS_PROTON_TEST_DATADIR=${lws_proton_prefix}/share
        -DLWS_INSTALL_LIB_DIR:STRING=${lws_proton_libdir}
        -DLWS_INSTALL_INCLUDE_DIR:STRING=${lws_proton_includedir}
        -DCMAKE_INSTALL_RPATH=$ORIGIN/${lws_bin_to_lib}
        -DCMAKE_INSTALL_MESSAGE=LAZY
        -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
    # In one step, since what comes of it is in the prefix. A DESTDIR is for our own installation,
    # which builds this first.
    BUILD_COMMAND ${CMAKE_COMMAND} --build <BINARY_DIR>
    COMMAND ${CMAKE_COMMAND} -E env --unset=DESTDIR
        ${CMAKE_COMMAND} --install <BINARY_DIR> --prefix <INSTALL_DIR>
    # These would be found in place of the system's, and name its library.
    COMMAND ${CMAKE_COMMAND} -E rm -rf
        <INSTALL_DIR>/lib/pkgconfig/libwebsockets.pc
        <INSTALL_DIR>/lib/pkgconfig/libwebsockets_static.pc
        <INSTALL_DIR>/lib/cmake/libwebsockets
    INSTALL_COMMAND ""
    BUILD_BYPRODUCTS "${lws_library}" ${lws_installed_headers})

add_library(lws::websockets SHARED IMPORTED GLOBAL)
add_dependencies(lws::websockets lws)
set_target_properties(lws::websockets PROPERTIES
    IMPORTED_LOCATION "${lws_library}"
    INTERFACE_INCLUDE_DIRECTORIES "${lws_proton_prefix}/${lws_proton_includedir}")
