# What makes a fault in memory harder to use, for all that is built: our own code, libwebsockets and
# the back-ported Proton. In a tree with sanitizers, which look for such faults themselves, there is
# none of it.
#
# lws_proton_hardening_flags, lws_proton_hardening_link_flags: lists, for those that are configured
# apart; our own targets have them from here.
include(CheckCCompilerFlag)
include(CheckCSourceCompiles)
include(CheckPIESupported)

set(lws_proton_hardening_flags)
set(lws_proton_hardening_link_flags)
if(LWS_PROTON_SANITIZE)
    return()
endif()

foreach(flag IN ITEMS -fstack-protector-strong -fstack-clash-protection -fcf-protection)
    string(MAKE_C_IDENTIFIER "LWS_PROTON_HAVE${flag}" has_flag)
    check_c_compiler_flag(${flag} ${has_flag})
    if(${has_flag})
        list(APPEND lws_proton_hardening_flags ${flag})
    endif()
endforeach()

# The checks of the C library's functions need an optimizing compiler. Level 3 needs GCC 12 or clang 9,
# and glibc 2.34. What the compiler or its user has defined already is taken back first.
string(TOUPPER "CMAKE_C_FLAGS_${CMAKE_BUILD_TYPE}" flags_of_type)
set(CMAKE_REQUIRED_FLAGS "${${flags_of_type}} -Werror")
foreach(level IN ITEMS 3 2)
    set(CMAKE_REQUIRED_DEFINITIONS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${level})
    # As it is for this build type: another one asks anew.
    set(has_level LWS_PROTON_HAVE_FORTIFY_${level}_${CMAKE_BUILD_TYPE})
    check_c_source_compiles("
        #include <stdio.h>
        #if !defined(__OPTIMIZE__)
        #error the checks need an optimizing compiler
        #endif
        int main(void) { return puts(\"\") < 0; }" ${has_level})
    if(${has_level})
        list(APPEND lws_proton_hardening_flags ${CMAKE_REQUIRED_DEFINITIONS})
        break()
    endif()
endforeach()
unset(CMAKE_REQUIRED_FLAGS)
unset(CMAKE_REQUIRED_DEFINITIONS)

# Functions are bound as a program starts, and their table is then read-only.
set(lws_proton_hardening_link_flags -Wl,-z,relro,-z,now -Wl,-z,noexecstack)

add_compile_options(${lws_proton_hardening_flags})
add_link_options(${lws_proton_hardening_link_flags})

# Programs may be loaded anywhere.
check_pie_supported(LANGUAGES C CXX)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
