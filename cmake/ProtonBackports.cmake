# Debian's own Qpid Proton with patches/qpid-proton: a drop-in for the system's, found with
# LD_LIBRARY_PATH=${lws_proton_backports_dir}. docs/proton-backports.md says what it is good for.
include(ExternalProject)

set(lws_proton_backports_dir "${PROJECT_BINARY_DIR}/proton-backports/lib")
set(lws_proton_backports_src "${PROJECT_BINARY_DIR}/proton-src")
set(lws_proton_backports_patches "${PROJECT_SOURCE_DIR}/patches/qpid-proton")

lws_proton_follow_patches("${lws_proton_backports_patches}")
lws_proton_prepared_source(qpid-proton "${lws_proton_backports_src}"
    --patches "${lws_proton_backports_patches}")

string(JOIN " " flags -O2 -g ${lws_proton_sanitize_flags} ${lws_proton_hardening_flags})
string(JOIN " " link_flags ${lws_proton_hardening_link_flags})
set(link_options)
if(LWS_PROTON_SANITIZE)
    # The sanitizer's functions come with the program.
    set(link_options -DENABLE_UNDEFINED_ERROR=OFF -DENABLE_LINKTIME_OPTIMIZATION=OFF)
endif()

ExternalProject_Add(proton-backports
    SOURCE_DIR "${lws_proton_backports_src}"
    BINARY_DIR "${PROJECT_BINARY_DIR}/proton-build"
    DOWNLOAD_COMMAND ""
    BUILD_ALWAYS ON
    USES_TERMINAL_BUILD ON
    # One at a time: each build uses all cores.
    DEPENDS lws
    CMAKE_ARGS
        # As Debian has it: with assertions, OpenSSL, and no Cyrus SASL.
        -DCMAKE_BUILD_TYPE=None
        -DSSL_IMPL=openssl
        -DSASL_IMPL=none
        -DPROACTOR=epoll
        -DBUILD_BINDINGS=
        # Its tests refer to its examples, which are not built.
        -DBUILD_TESTING=ON
        -DBUILD_EXAMPLES=ON
        -DENABLE_FUZZ_TESTING=OFF
        # Later compilers warn of more.
        -DENABLE_WARNING_ERROR=OFF
        ${link_options}
        # They find each other beside themselves.
        -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON
        -DCMAKE_INSTALL_RPATH=$ORIGIN
        -DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${lws_proton_backports_dir}
        -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER}
        -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
        -DCMAKE_C_COMPILER_LAUNCHER=${CMAKE_C_COMPILER_LAUNCHER}
        -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}
        -DCMAKE_C_FLAGS=${flags}
        -DCMAKE_CXX_FLAGS=${flags}
        -DCMAKE_EXE_LINKER_FLAGS=${link_flags}
        -DCMAKE_SHARED_LINKER_FLAGS=${link_flags}
    BUILD_COMMAND ${CMAKE_COMMAND} --build <BINARY_DIR>
        --target qpid-proton qpid-proton-core qpid-proton-proactor
            c-raw-connection-test c-proactor-test
    INSTALL_COMMAND "")
