// SPDX-License-Identifier: MIT
//
// How a program selects the backend, and what it is told when that fails.
#include "lws_log.hpp"

#include <lws_proton.h>

#include <dirent.h>
#include <dlfcn.h>
#include <set>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string>

extern "C" {
#include <cmocka.h>
}

namespace {

std::set<std::string> searched;  // the directories that lws lists for plugins
bool directories_are_empty;

}  // namespace

// In place of the C library's, for libwebsockets too.
extern "C" int scandir(const char *dir, struct dirent ***list, int (*filter)(const struct dirent *),
                       int (*compare)(const struct dirent **, const struct dirent **)) {
    searched.insert(dir);
    if (directories_are_empty) {
        *list = nullptr;
        return 0;
    }
    using Scandir = decltype(&scandir);
    return reinterpret_cast<Scandir>(dlsym(RTLD_NEXT, "scandir"))(dir, list, filter, compare);
}

namespace {

lws_context *create(uint64_t options) {
    log_to_string();
    searched.clear();
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
    directories_are_empty = true;
    assert_null(create(LWS_SERVER_OPTION_PROTON));
    directories_are_empty = false;
    assert_true(logged("libwebsockets-evlib_proton.so"));
    assert_true(logged(LWS_INSTALL_LIBDIR));
}

void the_current_directory_is_not_searched_for_the_plugin(void **) {
    lws_context *context = create(LWS_SERVER_OPTION_PROTON);
    assert_non_null(context);
    lws_context_destroy(context);
    assert_int_equal(searched.count("."), 0);
    assert_int_equal(searched.count(LWS_INSTALL_LIBDIR), 1);
}

void a_loop_of_the_applications_own_is_refused_for_now(void **) {
    log_to_string();
    int not_a_proactor = 0;
    void *loops[] = {&not_a_proactor};
    lws_context_creation_info info = {};
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options = LWS_SERVER_OPTION_PROTON;
    info.foreign_loops = loops;
    assert_null(lws_create_context(&info));
    assert_true(logged("foreign_loops"));
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
        cmocka_unit_test(the_current_directory_is_not_searched_for_the_plugin),
        cmocka_unit_test(a_loop_of_the_applications_own_is_refused_for_now),
        cmocka_unit_test(a_port_in_use_fails_at_creation_and_is_named),
        cmocka_unit_test(contexts_come_and_go),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
