# libwebsockets' minimal examples and self-tests, built and run on Proton. A build apart from the one
# in the prefix: it has every feature that an example asks for.
lws_proton_lws_source(lws-examples-src all)

set(lws_proton_examples_prefix "${PROJECT_BINARY_DIR}/lws-examples/prefix")
set(lws_proton_examples_options
    # The glue is in the other prefix.
    "-DCMAKE_INSTALL_RPATH=$ORIGIN:$ORIGIN/../lib:${lws_proton_prefix}/lib"
    # Some of these features do not compile without a warning in a release build.
    -DDISABLE_WERROR=ON
    -DLWS_WITH_MINIMAL_EXAMPLES=ON
    -DLWS_CTEST_INTERNET_AVAILABLE=OFF
    -DVALGRIND=OFF
    -DLWS_WITH_SELFTESTS=ON
    -DLWS_WITH_SYS_FAULT_INJECTION=ON
    -DLWS_WITH_SYS_METRICS=ON
    -DLWS_ROLE_MQTT=ON
    -DLWS_WITH_CUSTOM_HEADERS=ON
    -DLWS_WITH_TLS_JIT_TRUST=ON
    -DLWS_WITH_CACHE_NSCOOKIEJAR=ON
    -DLWS_WITH_THREADPOOL=ON
    -DLWS_WITH_SEQUENCER=ON
    -DLWS_WITH_LWS_DSH=ON
    -DLWS_WITH_FTS=ON
    -DLWS_WITH_DISKCACHE=ON
    -DLWS_WITH_STRUCT_JSON=ON
    -DLWS_WITH_STRUCT_SQLITE3=ON
    -DLWS_WITH_GENCRYPTO=ON
    -DLWS_WITH_JOSE=ON
    -DLWS_WITH_CBOR=ON
    -DLWS_WITH_COSE=ON
    -DLWS_WITH_SECURE_STREAMS=ON
    -DLWS_WITH_SECURE_STREAMS_CPP=ON
    -DLWS_WITH_SECURE_STREAMS_AUTH_SIGV4=ON)

ExternalProject_Add(lws-examples
    SOURCE_DIR "${lws-examples-src_DIR}"
    BINARY_DIR "${PROJECT_BINARY_DIR}/lws-examples"
    INSTALL_DIR "${lws_proton_examples_prefix}"
    DOWNLOAD_COMMAND ""
    BUILD_ALWAYS ON
    USES_TERMINAL_BUILD ON
    # One at a time: each build uses all cores.
    DEPENDS lws
    CMAKE_ARGS
        ${lws_proton_lws_arguments}
        ${lws_proton_examples_options}
        -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
        -DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}
        -DCMAKE_CXX_FLAGS=${lws_c_flags}
        # Where its test server looks for its pages; the programs run from the build tree.
        -DCMAKE_INSTALL_PREFIX=<INSTALL_DIR>
        -DCMAKE_INSTALL_MESSAGE=NEVER)
