// SPDX-License-Identifier: MIT
//
// How a program selects the backend, and what it is told when that fails.
#include "../support/temporary_directory.hpp"
#include "lws_log.hpp"

#include <lws_proton.h>

#include <dlfcn.h>
#include <set>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string>
#include <unistd.h>

extern "C" {
#include <cmocka.h>
}

namespace {

std::set<std::string> tried;  // what lws loads, or would
bool nothing_is_there;

}  // namespace

// In place of the C library's, for libwebsockets too.
extern "C" void *dlopen(const char *path, int flags) {
    if (path && std::string(path).find("evlib") != std::string::npos) {
        tried.insert(path);
        if (nothing_is_there)
            return nullptr;
    }
    using Dlopen = decltype(&dlopen);
    return reinterpret_cast<Dlopen>(dlsym(RTLD_NEXT, "dlopen"))(path, flags);
}

namespace {

// Versions of lws later than ours use bits 40 to 51 for options of their own.
static_assert(LWS_SERVER_OPTION_PROTON == 1ll << 60);

const std::string PLUGIN = LIBRARY_DIRECTORY "/libwebsockets-evlib_proton.so";

lws_context *create(uint64_t options) {
    log_to_string();
    tried.clear();
    lws_context_creation_info info = {};
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options = options;
    return lws_create_context(&info);
}

bool logged(const char *text) {
    return lws_logged.find(text) != std::string::npos;
}

void the_flag_selects_proton(void **) {
    lws_context *context = create(LWS_SERVER_OPTION_PROTON);
    assert_non_null(context);
    assert_non_null(lws_proton_loop_of(context));
    assert_string_equal(lws_logged.c_str(), "");
    lws_context_destroy(context);
    assert_null(lws_proton_loop_of(context));
}

void a_context_without_the_flag_fails_and_names_it(void **) {
    assert_null(create(0));
    assert_true(logged("LWS_SERVER_OPTION_PROTON"));
}

void a_missing_plugin_fails_and_names_the_directory(void **) {
    nothing_is_there = true;
    assert_null(create(LWS_SERVER_OPTION_PROTON));
    nothing_is_there = false;
    assert_true(logged("no usable libwebsockets-evlib_proton.so in " LIBRARY_DIRECTORY));
}

void the_plugin_is_loaded_from_beside_the_library_only(void **) {
    const e2e::TemporaryDirectory elsewhere;
    elsewhere.write("libwebsockets-evlib_proton.so", "");
    setenv("LD_LIBRARY_PATH", elsewhere.path().c_str(), 1);
    assert_int_equal(chdir(elsewhere.path().c_str()), 0);
    for (const bool is_there : {true, false}) {
        nothing_is_there = !is_there;
        lws_context *context = create(LWS_SERVER_OPTION_PROTON);
        if (context)
            lws_context_destroy(context);
        assert_true(tried == std::set<std::string>{PLUGIN});
    }
    nothing_is_there = false;
    unsetenv("LD_LIBRARY_PATH");
    assert_int_equal(chdir("/"), 0);
}

// Those of the system's libwebsockets may be in the same directory: they have another ABI.
void other_event_libraries_are_not_loaded(void **) {
    assert_null(create(LWS_SERVER_OPTION_LIBUV));
    assert_true(logged("LWS_SERVER_OPTION_PROTON"));
    assert_true(tried.empty());
    lws_context *context = create(LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_PROTON);
    assert_non_null(lws_proton_loop_of(context));
    lws_context_destroy(context);
    assert_true(tried == std::set<std::string>{PLUGIN});
}

void an_application_s_loop_that_is_none_is_refused(void **) {
    log_to_string();
    void *loops[] = {nullptr};
    lws_context_creation_info info = {};
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options = LWS_SERVER_OPTION_PROTON;
    info.foreign_loops = loops;
    assert_null(lws_create_context(&info));
    assert_true(logged("foreign_loops[0] is NULL"));
}

void a_port_in_use_fails_at_creation_and_is_named(void **) {
    lws_context *context = create(LWS_SERVER_OPTION_PROTON | LWS_SERVER_OPTION_EXPLICIT_VHOSTS);
    assert_non_null(context);
    lws_context_creation_info info = {};
    info.iface = "127.0.0.1";
    lws_vhost *first = lws_create_vhost(context, &info);
    assert_non_null(first);
    const int port = lws_get_vhost_listen_port(first);
    assert_true(port > 0);

    // The same context would share the listener.
    lws_context *other = create(LWS_SERVER_OPTION_PROTON | LWS_SERVER_OPTION_EXPLICIT_VHOSTS);
    assert_non_null(other);
    info.port = port;
    assert_null(lws_create_vhost(other, &info));
    assert_true(logged("cannot listen: Address already in use"));
    assert_true(logged(std::to_string(port).c_str()));
    lws_context_destroy(other);
    lws_context_destroy(context);
}

void contexts_come_and_go(void **) {
    for (int i = 0; i < 200; i++) {
        lws_context *context = create(LWS_SERVER_OPTION_PROTON);
        assert_non_null(context);
        if (i % 2)
            lws_service(context, -1);
        lws_context_destroy(context);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_flag_selects_proton),
        cmocka_unit_test(a_context_without_the_flag_fails_and_names_it),
        cmocka_unit_test(a_missing_plugin_fails_and_names_the_directory),
        cmocka_unit_test(the_plugin_is_loaded_from_beside_the_library_only),
        cmocka_unit_test(other_event_libraries_are_not_loaded),
        cmocka_unit_test(an_application_s_loop_that_is_none_is_refused),
        cmocka_unit_test(a_port_in_use_fails_at_creation_and_is_named),
        cmocka_unit_test(contexts_come_and_go),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
