# Stock libwebsockets on sockets, as Debian has it, with its poll, libuv and libev loops: what
# examples/echo.c and test/differential are compared with. As target lws::stock, installed into a
# prefix of its own.
set(lws_stock_prefix "${PROJECT_BINARY_DIR}/stock-prefix")
file(MAKE_DIRECTORY "${lws_stock_prefix}/include")

lws_proton_lws_source(lws-stock-src none)

# Hardened as the library that it is compared with.
string(JOIN " " lws_stock_flags ${lws_proton_hardening_flags})
ExternalProject_Add(lws-stock-loops
    SOURCE_DIR "${lws-stock-src_DIR}"
    BINARY_DIR "${PROJECT_BINARY_DIR}/lws-stock-loops"
    INSTALL_DIR "${lws_stock_prefix}"
    DOWNLOAD_COMMAND ""
    BUILD_ALWAYS ON
    USES_TERMINAL_BUILD ON
    # One at a time: each build uses all cores.
    DEPENDS lws
    CMAKE_ARGS
        ${lws_proton_lws_features}
        -DLWS_WITH_SHARED=ON
        -DLWS_WITH_STATIC=OFF
        -DLWS_WITH_PLUGINS=OFF
        # Inside the library, where nothing has to be found when the program starts.
        -DLWS_WITH_EVLIB_PLUGINS=OFF
        -DLWS_WITH_LIBUV=ON
        -DLWS_WITH_LIBEV=ON
        -DLWS_WITHOUT_TESTAPPS=ON
        -DLWS_WITH_MINIMAL_EXAMPLES=OFF
        # As the library it is compared with.
        -DCMAKE_BUILD_TYPE=${CMAKE_BUILD_TYPE}
        -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
        -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER}
        -DCMAKE_C_FLAGS=${lws_stock_flags}
        -DCMAKE_SHARED_LINKER_FLAGS=${lws_link_flags}
        -DCMAKE_INSTALL_PREFIX=<INSTALL_DIR>
        -DCMAKE_INSTALL_LIBDIR=lib
        -DCMAKE_INSTALL_MESSAGE=LAZY
    BUILD_BYPRODUCTS "${lws_stock_prefix}/lib/libwebsockets.so")

add_library(lws::stock SHARED IMPORTED GLOBAL)
add_dependencies(lws::stock lws-stock-loops)
set_target_properties(lws::stock PROPERTIES
    IMPORTED_LOCATION "${lws_stock_prefix}/lib/libwebsockets.so"
    INTERFACE_INCLUDE_DIRECTORIES "${lws_stock_prefix}/include")
