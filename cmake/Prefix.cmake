# Everything that is built runs from this prefix, which is laid out as an installation is.
include(GNUInstallDirs)
set(lws_proton_prefix "${PROJECT_BINARY_DIR}/prefix")

# lws_proton_relative_dir(RESULT DIRECTORY): an absolute CMAKE_INSTALL_... is taken relative to
# CMAKE_INSTALL_PREFIX, since this prefix, and that of `cmake --install --prefix`, is another.
function(lws_proton_relative_dir result directory)
    if(IS_ABSOLUTE "${directory}")
        file(RELATIVE_PATH directory "${CMAKE_INSTALL_PREFIX}" "${directory}")
    endif()
    if(directory MATCHES "^\\.\\.")
        message(FATAL_ERROR "lws-proton: error: an install directory is not below the prefix "
            "${CMAKE_INSTALL_PREFIX}: ${directory}")
    endif()
    set(${result} "${directory}" PARENT_SCOPE)
endfunction()

# Names that leave room for the system's libwebsockets in the same prefix.
lws_proton_relative_dir(lws_proton_libdir "${CMAKE_INSTALL_LIBDIR}")
lws_proton_relative_dir(lws_proton_includedir "${CMAKE_INSTALL_INCLUDEDIR}")
string(APPEND lws_proton_includedir "/libwebsockets-proton")
# CMake refuses an include directory that is not there yet.
file(MAKE_DIRECTORY
    "${lws_proton_prefix}/${lws_proton_includedir}" "${lws_proton_prefix}/${lws_proton_libdir}")

# Puts the target's pkg-config module there, which goes by its own place.
function(lws_proton_write_pc target template)
    file(RELATIVE_PATH to_prefix "/prefix/${lws_proton_libdir}/pkgconfig" "/prefix")
    string(REGEX REPLACE "/$" "" to_prefix "${to_prefix}")
    get_target_property(version ${target} VERSION)
    configure_file("${template}"
        "${lws_proton_prefix}/${lws_proton_libdir}/pkgconfig/${target}.pc" @ONLY)
endfunction()

# Puts our library and its headers there at build time: libwebsockets links it, and the event
# library finds it beside itself. Call it once target lws_proton exists.
function(lws_proton_install_glue)
    set_target_properties(lws_proton PROPERTIES
        LIBRARY_OUTPUT_DIRECTORY "${lws_proton_prefix}/${lws_proton_libdir}")
    file(GLOB headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/proton-glue/include/*.h")
    set(stamp "${PROJECT_BINARY_DIR}/glue-headers.copied")
    set(copies ${headers})
    list(TRANSFORM copies
        REPLACE "^.*/" "${lws_proton_prefix}/${lws_proton_includedir}/")
    add_custom_command(OUTPUT "${stamp}"
        BYPRODUCTS ${copies}
        COMMAND ${CMAKE_COMMAND} -E copy_if_different ${headers}
            "${lws_proton_prefix}/${lws_proton_includedir}"
        COMMAND ${CMAKE_COMMAND} -E touch "${stamp}"
        DEPENDS ${headers}
        COMMENT "Copying the glue's headers into the prefix"
        VERBATIM)
    add_custom_target(lws_proton_installed ALL DEPENDS "${stamp}")
    add_dependencies(lws_proton_installed lws_proton)

    lws_proton_write_pc(lws_proton "${PROJECT_SOURCE_DIR}/proton-glue/lws_proton.pc.in")
endfunction()
