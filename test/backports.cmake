# lws_proton_also_on_backports(TEST COMMAND...): runs the test a second time, as TEST_backports, on
# the back-ported Proton if that is built. COMMAND is the test's own. To be called where the test is
# added; what is said of it later there holds for both.
function(lws_proton_also_on_backports test)
    if(NOT PROTON_BACKPORTS)
        return()
    endif()
    add_test(NAME ${test}_backports COMMAND ${ARGN})
    # A deferred call's arguments are evaluated then.
    cmake_language(EVAL CODE "cmake_language(DEFER CALL lws_proton_copy_test_properties ${test})")
endfunction()

function(lws_proton_copy_test_properties test)
    foreach(property IN ITEMS FIXTURES_REQUIRED LABELS PROCESSORS RESOURCE_LOCK TIMEOUT ENVIRONMENT)
        get_test_property(${test} ${property} value)
        if(value)
            set_tests_properties(${test}_backports PROPERTIES ${property} "${value}")
        endif()
    endforeach()
    set_property(TEST ${test}_backports APPEND PROPERTY
        ENVIRONMENT "LD_LIBRARY_PATH=${lws_proton_backports_dir}" LWS_PROTON_TEST_ABORTS=1)
    set_property(TEST ${test}_backports APPEND PROPERTY LABELS backports)
endfunction()
