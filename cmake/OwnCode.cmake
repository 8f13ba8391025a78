# For our own code only: libwebsockets is configured apart.
add_compile_options(-Wall -Wextra -Werror)
# Who holds which lock (proton-glue/src/mutex.hpp): clang compiles the fuzzers' tree.
add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wthread-safety>")
# Assertions are for the trees that are to find faults; CMake's optimized build types leave them out.
if(LWS_PROTON_SANITIZE)
    add_compile_options(-UNDEBUG)
endif()
