// SPDX-License-Identifier: MIT
//
// Certificates for one run of the tests, made by the openssl command.
#pragma once

#include "temporary_directory.hpp"

#include <string>

namespace lws_test {

// An authority and what it has signed: a server called "localhost" (and "127.0.0.1"), the same long
// ago ("expired"), one called "other.example", a client; and a server that has signed itself.
class Certificates {
public:
    Certificates();

    std::string authority() const { return directory_.file("authority.crt"); }
    std::string certificate(const std::string &name) const {
        return directory_.file(name + ".crt");
    }
    std::string key(const std::string &name) const { return directory_.file(name + ".key"); }

private:
    void sign(const std::string &name, const std::string &alternatives, int days = 2);

    e2e::TemporaryDirectory directory_;
};

// Made once.
const Certificates &certificates();

}  // namespace lws_test
