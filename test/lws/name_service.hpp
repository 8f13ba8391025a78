// SPDX-License-Identifier: MIT
//
// What the C library's getaddrinfo() answers to a name in a test program that links this: the glue
// calls it, and finds the program's own.
#pragma once

#include <string>
#include <vector>

namespace lws_test {

class NameService {
public:
    NameService();
    // No lookup waits any more then.
    ~NameService();
    NameService(const NameService &) = delete;
    NameService &operator=(const NameService &) = delete;

    // From now on every name has these addresses (in numbers), in this order.
    void answer(const std::vector<std::string> &addresses);
    // ... or there is this EAI_ error.
    void answer_error(int error);

    // Lookups that have begun do not end before release().
    void hold();
    void release();

    int asked() const;
};

}  // namespace lws_test
