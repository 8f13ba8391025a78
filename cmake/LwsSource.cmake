# lws_proton_lws_source(NAME PATCHES): the tree NAME below the build directory, made by
# scripts/prepare-lws-source, with our patches if PATCHES is true. Its path is put into
# ${NAME}_DIR.
function(lws_proton_lws_source name patches)
    set(directory "${PROJECT_BINARY_DIR}/${name}")
    set(arguments --cache "${LWS_PROTON_CACHE_DIR}")
    if(LWS_SOURCE_DIR)
        list(APPEND arguments --from "${LWS_SOURCE_DIR}")
    endif()
    if(patches)
        list(APPEND arguments --patches "${PROJECT_SOURCE_DIR}/patches")
    endif()
    execute_process(
        COMMAND "${PROJECT_SOURCE_DIR}/scripts/prepare-lws-source" ${arguments} "${directory}"
        RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "libwebsockets' source is not ready: see the line above")
    endif()
    set(${name}_DIR "${directory}" PARENT_SCOPE)
endfunction()

# The tree is made when CMake runs: a changed patch makes it run again.
file(GLOB lws_proton_patches CONFIGURE_DEPENDS
    "${PROJECT_SOURCE_DIR}/patches/series" "${PROJECT_SOURCE_DIR}/patches/*.patch")
set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    ${lws_proton_patches} "${PROJECT_SOURCE_DIR}/scripts/prepare-lws-source"
    "${PROJECT_SOURCE_DIR}/scripts/fetch-lws-source")

lws_proton_lws_source(lws-src TRUE)
