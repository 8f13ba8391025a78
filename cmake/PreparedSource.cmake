# lws_proton_prepared_source(PACKAGE DIRECTORY OPTION...): makes the tree DIRECTORY with
# scripts/prepare-source, when CMake runs; OPTIONs are the script's.
function(lws_proton_prepared_source package directory)
    execute_process(
        COMMAND "${PROJECT_SOURCE_DIR}/scripts/prepare-source"
            --cache "${LWS_PROTON_CACHE_DIR}" ${ARGN} "${package}" "${directory}"
        RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${package}'s source is not ready: see the line above")
    endif()
endfunction()

# lws_proton_follow_patches(DIRECTORY): a changed patch there makes CMake run again.
function(lws_proton_follow_patches directory)
    file(GLOB_RECURSE patches CONFIGURE_DEPENDS "${directory}/series" "${directory}/*.patch")
    set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
        ${patches})
endfunction()

set_property(DIRECTORY "${PROJECT_SOURCE_DIR}" APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
    "${PROJECT_SOURCE_DIR}/scripts/prepare-source"
    "${PROJECT_SOURCE_DIR}/scripts/fetch-debian-source")
