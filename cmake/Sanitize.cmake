# LWS_PROTON_SANITIZE holds for everything that is loaded into one process: the glue,
# libwebsockets and the programs. The first undefined behaviour ends the program.
set(lws_proton_sanitize_flags)
if(LWS_PROTON_SANITIZE)
    set(lws_proton_sanitize_flags
        -fsanitize=${LWS_PROTON_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
    if(LWS_PROTON_FUZZ)
        list(APPEND lws_proton_sanitize_flags -O1)
    endif()
    add_compile_options(${lws_proton_sanitize_flags})
    add_link_options(-fsanitize=${LWS_PROTON_SANITIZE})
endif()
