# lws_proton_version_script(TARGET FILE): the shared library TARGET exports what FILE, a version script
# of the linker's, lets it.
function(lws_proton_version_script target file)
    get_filename_component(file "${file}" ABSOLUTE)
    target_link_options(${target} PRIVATE "LINKER:--version-script=${file}")
    set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS "${file}")
endfunction()
