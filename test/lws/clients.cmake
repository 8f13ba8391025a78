# Clients: the tests' context, their peers and the names they look up.

add_library(lws_client_support STATIC
    certificates.cpp client_context.cpp raw_server.cpp test_server.cpp)
target_link_libraries(lws_client_support PUBLIC Threads::Threads
    ${CMAKE_DL_LIBS} e2e_support lws::websockets lws_proton)

function(add_client_test name)
    add_executable(lws_client_${name} client_${name}_test.cpp ${ARGN})
    target_link_libraries(lws_client_${name} PRIVATE lws_client_support)
    # The glue is to find this program's own getaddrinfo(), if it has one.
    set_target_properties(lws_client_${name} PROPERTIES ENABLE_EXPORTS ON)
    add_test(NAME lws_client_${name} COMMAND lws_client_${name})
    lws_proton_also_on_backports(lws_client_${name} lws_client_${name})
    set_tests_properties(lws_client_${name} PROPERTIES LABELS lws TIMEOUT 300)
endfunction()

add_client_test(errors name_service.cpp)
add_client_test(close name_service.cpp)
add_client_test(http)
add_client_test(http2)
add_client_test(proxy name_service.cpp)
add_client_test(raw)
add_client_test(raw_proxy raw_proxy_protocol.c)
target_include_directories(lws_client_raw_proxy SYSTEM PRIVATE "${lws-src_DIR}")
add_client_test(tls)
add_client_test(tls_stream)
add_client_test(validity)
add_client_test(ws)

# Both ends without a socket.
add_executable(lws_driver_client driver_client_test.cpp)
target_link_libraries(lws_driver_client PRIVATE lws_client_support)
set_target_properties(lws_driver_client PROPERTIES ENABLE_EXPORTS ON)
add_test(NAME lws_driver_client COMMAND lws_driver_client)
set_tests_properties(lws_driver_client PROPERTIES LABELS lws TIMEOUT 300)

# What grows with how many there are.
foreach(name IN ITEMS many_timers many_clients)
    add_executable(lws_${name} ${name}_test.cpp)
    target_link_libraries(lws_${name} PRIVATE lws_client_support)
    add_test(NAME lws_${name} COMMAND lws_${name})
    set_tests_properties(lws_${name} PROPERTIES LABELS "lws;security" TIMEOUT 300)
endforeach()
