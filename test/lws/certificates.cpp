// SPDX-License-Identifier: MIT
#include "certificates.hpp"

#include "server_process.hpp"

#include <vector>

namespace lws_test {

namespace {

void openssl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "openssl");
    const e2e::ProcessResult result = e2e::run_process(arguments);
    if (result.exit_status != 0)
        FAIL("openssl " + arguments[1] + ": " + result.err);
}

const std::vector<std::string> kNewKey = {
    "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"};

std::vector<std::string> new_key(const std::vector<std::string> &more) {
    std::vector<std::string> all = kNewKey;
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

}  // namespace

Certificates::Certificates() {
    openssl(new_key({"-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", key("authority"),
                     "-out", authority()}));
    openssl(new_key({"-x509", "-days", "2", "-subj", "/CN=localhost", "-addext",
                     "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key("self"), "-out",
                     certificate("self")}));
    sign("localhost", "DNS:localhost,IP:127.0.0.1");
    sign("other.example", "DNS:other.example");
    sign("expired", "DNS:localhost,IP:127.0.0.1", -1);
    sign("client", "DNS:client");
}

void Certificates::sign(const std::string &name, const std::string &alternatives, int days) {
    const std::string request = directory_.file(name + ".csr"), extensions = name + ".ext";
    directory_.write(extensions, "subjectAltName=" + alternatives + "\n");
    openssl(new_key({"-subj", "/CN=" + name, "-keyout", key(name), "-out", request}));
    openssl({"x509", "-req", "-days", std::to_string(days), "-in", request, "-CA", authority(),
             "-CAkey", key("authority"), "-CAcreateserial", "-extfile",
             directory_.file(extensions), "-out", certificate(name)});
}

const Certificates &certificates() {
    static const Certificates made;
    return made;
}

}  // namespace lws_test
