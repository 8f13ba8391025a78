# libwebsockets over plain sockets, twice and in the same way: as Debian has it, and with all of our
# patches but the seam, which only LWS_PROTON needs. scripts/compare-lws-ctest runs libwebsockets' own
# tests in both.
function(lws_proton_stock name source instance)
    ExternalProject_Add(${name}
        SOURCE_DIR "${source}"
        BINARY_DIR "${PROJECT_BINARY_DIR}/${name}"
        DOWNLOAD_COMMAND ""
        BUILD_ALWAYS ON
        USES_TERMINAL_BUILD ON
        # One at a time: each build uses all cores.
        DEPENDS ${ARGN}
        # The instance chooses the ports of the tests' servers: both trees can be tested at once.
        CONFIGURE_COMMAND ${CMAKE_COMMAND} -E env SAI_INSTANCE_IDX=${instance}
            ${CMAKE_COMMAND} -G ${CMAKE_GENERATOR} -S <SOURCE_DIR> -B <BINARY_DIR>
            -DCMAKE_BUILD_TYPE=Release
            -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
            -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER}
            -DCMAKE_INSTALL_PREFIX=/usr/local
            -DCMAKE_INSTALL_MESSAGE=NEVER
            -DCMAKE_DISABLE_FIND_PACKAGE_Git=ON
            -DCMAKE_EXPORT_NO_PACKAGE_REGISTRY=ON
            -DLWS_WITH_SHARED=OFF
            -DLWS_WITH_MINIMAL_EXAMPLES=ON
            -DLWS_CTEST_INTERNET_AVAILABLE=OFF
            # It would slow the servers down without looking at what the tests are about.
            -DVALGRIND=OFF
        BUILD_COMMAND ${CMAKE_COMMAND} --build <BINARY_DIR>
        # Where libwebsockets' tests look for the certificates of their servers.
        INSTALL_COMMAND ${CMAKE_COMMAND} -E env DESTDIR=<SOURCE_DIR>/destdir
            ${CMAKE_COMMAND} --install <BINARY_DIR>)
endfunction()

lws_proton_lws_source(lws-stock-src none)
lws_proton_lws_source(lws-off-src no-seam)
lws_proton_stock(lws-stock "${lws-stock-src_DIR}" 0 lws)
lws_proton_stock(lws-off "${lws-off-src_DIR}" 1 lws-stock)
