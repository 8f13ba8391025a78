set(lws_proton_lws_patches "${PROJECT_SOURCE_DIR}/patches/libwebsockets")

# lws_proton_lws_source(NAME PATCHES): the libwebsockets tree NAME below the build directory. Its path
# is put into ${NAME}_DIR. PATCHES says with which of our patches: "none", "all", or "no-seam", which
# leaves out what only LWS_PROTON needs.
function(lws_proton_lws_source name patches)
    set(directory "${PROJECT_BINARY_DIR}/${name}")
    set(options)
    if(LWS_SOURCE_DIR)
        list(APPEND options --from "${LWS_SOURCE_DIR}")
    endif()
    if(NOT patches STREQUAL none)
        list(APPEND options --patches "${lws_proton_lws_patches}")
    endif()
    if(patches STREQUAL no-seam)
        list(APPEND options --without seam)
    endif()
    lws_proton_prepared_source(libwebsockets "${directory}" ${options})
    set(${name}_DIR "${directory}" PARENT_SCOPE)
endfunction()

lws_proton_follow_patches("${lws_proton_lws_patches}")
lws_proton_lws_source(lws-src all)
