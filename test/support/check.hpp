// Checks that throw, so that a failing test unwinds: sockets close, servers die. (CMocka's own
// asserts leave by longjmp() and would skip every destructor.)
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace e2e {

class CheckFailed : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

[[noreturn]] inline void fail_check(const char *file, int line, const std::string &what)
{
    throw CheckFailed(std::string(file) + ":" + std::to_string(line) + ": " + what);
}

template <typename T> std::string shown(const T &value)
{
    std::ostringstream out;
    out << value;
    std::string text = out.str();
    constexpr size_t kMostShown = 200;
    if (text.size() > kMostShown)
        text = text.substr(0, kMostShown) + "... (" + std::to_string(text.size()) + " bytes)";
    return text;
}

template <typename A, typename B, typename Holds>
void check_relation(const char *file, int line, const char *expression, const A &a, const B &b,
                    Holds holds)
{
    if (!holds(a, b))
        fail_check(file, line, std::string(expression) + ": " + shown(a) + " and " + shown(b));
}

} // namespace e2e

#define CHECK(condition)                                                                          \
    do {                                                                                          \
        if (!(condition))                                                                         \
            e2e::fail_check(__FILE__, __LINE__, #condition);                                      \
    } while (0)

#define CHECK_RELATION(a, op, b)                                                                  \
    e2e::check_relation(__FILE__, __LINE__, #a " " #op " " #b, a, b,                              \
                        [](const auto &x, const auto &y) { return x op y; })

#define CHECK_EQ(a, b) CHECK_RELATION(a, ==, b)
#define CHECK_LE(a, b) CHECK_RELATION(a, <=, b)
#define CHECK_GE(a, b) CHECK_RELATION(a, >=, b)

#define FAIL(what) e2e::fail_check(__FILE__, __LINE__, what)
