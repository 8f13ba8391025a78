# Included by libwebsockets' own project(). The library is configured for where it is installed in
# the end, but its test server, which is not installed, runs from the prefix and serves pages there.
cmake_language(DEFER CALL set_property TARGET test-server
    PROPERTY COMPILE_DEFINITIONS "INSTALL_DATADIR=\"${LWS_PROTON_TEST_DATADIR}\"")
