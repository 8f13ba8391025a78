# Everything that is built runs from this prefix, as it would once installed.
set(lws_proton_prefix "${PROJECT_BINARY_DIR}/prefix")
# CMake refuses an include directory that is not there yet.
file(MAKE_DIRECTORY "${lws_proton_prefix}/include" "${lws_proton_prefix}/lib")

# Puts our library and its headers there at build time: libwebsockets links it, and the event
# library finds it beside itself. Call it once target lws_proton exists.
function(lws_proton_install_glue)
    set(headers "${PROJECT_SOURCE_DIR}/proton-glue/include")
    install(TARGETS lws_proton LIBRARY DESTINATION lib COMPONENT glue)
    install(DIRECTORY "${headers}/" DESTINATION include COMPONENT glue)

    file(GLOB_RECURSE header_files CONFIGURE_DEPENDS "${headers}/*.h")
    set(stamp "${PROJECT_BINARY_DIR}/glue.installed")
    add_custom_command(OUTPUT "${stamp}"
        COMMAND ${CMAKE_COMMAND} --install "${PROJECT_BINARY_DIR}" --component glue
            --prefix "${lws_proton_prefix}"
        COMMAND ${CMAKE_COMMAND} -E touch "${stamp}"
        DEPENDS lws_proton ${header_files}
        COMMENT "Installing the glue into the prefix"
        VERBATIM)
    add_custom_target(lws_proton_installed ALL DEPENDS "${stamp}")
endfunction()
