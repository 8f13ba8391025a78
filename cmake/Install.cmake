# `cmake --install`: what is in the prefix, without libwebsockets' own programs and their data.
# Components: runtime, and dev for what building against it needs besides.
file(STRINGS "${lws-src_DIR}/CMakeLists.txt" soversion REGEX "^set\\(SOVERSION ")
string(REGEX REPLACE ".*\"([0-9]+)\".*" "\\1" soversion "${soversion}")
set(from "${lws_proton_prefix}/${lws_proton_libdir}")

install(TARGETS lws_proton lws_proton_amqp LIBRARY
    DESTINATION "${lws_proton_libdir}" COMPONENT runtime NAMELINK_COMPONENT dev)
install(FILES
    "${from}/libwebsockets-proton.so.${soversion}"
    "${from}/libwebsockets-evlib_proton.so"
    DESTINATION "${lws_proton_libdir}" COMPONENT runtime)
lws_proton_relative_dir(docdir "${CMAKE_INSTALL_DOCDIR}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${docdir}" COMPONENT runtime)
install(FILES "${lws-src_DIR}/LICENSE" DESTINATION "${docdir}" COMPONENT runtime
    RENAME LICENSE.libwebsockets)

install(FILES "${from}/libwebsockets-proton.so" DESTINATION "${lws_proton_libdir}" COMPONENT dev)
install(FILES
    "${from}/pkgconfig/libwebsockets-proton.pc"
    "${from}/pkgconfig/lws_proton.pc"
    "${from}/pkgconfig/lws_proton_amqp.pc"
    DESTINATION "${lws_proton_libdir}/pkgconfig" COMPONENT dev)
install(DIRECTORY "${from}/cmake/libwebsockets-proton"
    DESTINATION "${lws_proton_libdir}/cmake" COMPONENT dev)
install(DIRECTORY "${lws_proton_prefix}/${lws_proton_includedir}/"
    DESTINATION "${lws_proton_includedir}" COMPONENT dev)
