# lws_proton_lws_source(NAME PATCHES): the libwebsockets tree NAME below the build directory, with our
# patches if PATCHES is true. Its path is put into ${NAME}_DIR.
function(lws_proton_lws_source name patches)
    set(directory "${PROJECT_BINARY_DIR}/${name}")
    set(options)
    if(LWS_SOURCE_DIR)
        list(APPEND options --from "${LWS_SOURCE_DIR}")
    endif()
    if(patches)
        list(APPEND options --patches "${PROJECT_SOURCE_DIR}/patches")
    endif()
    lws_proton_prepared_source(libwebsockets "${directory}" ${options})
    set(${name}_DIR "${directory}" PARENT_SCOPE)
endfunction()

lws_proton_follow_patches("${PROJECT_SOURCE_DIR}/patches")
lws_proton_lws_source(lws-src TRUE)
