# A directory of the build tree with Node.js programs and what they import from npm, which is
# fetched once, and again only when the lock changes.
#
#   add_npm_directory(TARGET DIRECTORY [ON_DEMAND] SOURCE...)
#
# Beside CMakeLists.txt there are .npmrc, package.json and package-lock.json. With ON_DEMAND it is no
# part of all.
function(add_npm_directory target directory)
    cmake_parse_arguments(ARG "ON_DEMAND" "" "" ${ARGN})
    set(all ALL)
    if(ARG_ON_DEMAND)
        set(all)
    endif()
    set(lock .npmrc package.json package-lock.json)
    list(TRANSFORM lock PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/")
    set(modules "${directory}/node_modules.stamp")
    add_custom_command(OUTPUT "${modules}"
        COMMAND ${CMAKE_COMMAND} -E make_directory "${directory}"
        COMMAND ${CMAKE_COMMAND} -E copy ${lock} "${directory}"
        COMMAND ${CMAKE_COMMAND} -E chdir "${directory}"
                npm ci --ignore-scripts --no-audit --no-fund --prefer-offline
        COMMAND ${CMAKE_COMMAND} -E touch "${modules}"
        DEPENDS ${lock}
        COMMENT "npm ci"
        VERBATIM)

    set(copies)
    foreach(source IN LISTS ARG_UNPARSED_ARGUMENTS)
        # What is below keeps its place, what is from elsewhere comes to the top.
        set(name "${source}")
        if(IS_ABSOLUTE "${source}" OR source MATCHES "^\\.\\.")
            get_filename_component(name "${source}" NAME)
        endif()
        get_filename_component(source "${source}" ABSOLUTE)
        add_custom_command(OUTPUT "${directory}/${name}"
            COMMAND ${CMAKE_COMMAND} -E copy "${source}" "${directory}/${name}"
            DEPENDS "${source}"
            VERBATIM)
        list(APPEND copies "${directory}/${name}")
    endforeach()

    add_custom_target(${target} ${all} DEPENDS "${modules}" ${copies})
endfunction()
