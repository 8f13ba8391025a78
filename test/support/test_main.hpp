// The bridge to CMocka: a test is a plain function that throws when it fails.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

extern "C" {
#include <cmocka.h>
}

#include <exception>
#include <string>

namespace e2e {

template <void (*Body)()> void run_body(void **)
{
    static std::string why; // outlives the longjmp() in fail_msg()
    why.clear();
    try {
        Body();
    } catch (const std::exception &error) {
        why = error.what();
    }
    if (!why.empty())
        fail_msg("%s", why.c_str());
}

} // namespace e2e

#define E2E_TEST(name) {#name, e2e::run_body<name>, nullptr, nullptr, nullptr}
