// An example program that serves AMQP beside HTTP, as its ready line says:
// "ready: http://localhost:PORT/ amqp://localhost:PORT/".
#pragma once

#include "amqp_client.hpp"
#include "check.hpp"
#include "server_process.hpp"

#include <memory>
#include <string>
#include <vector>

namespace e2e {

class AmqpProgram : public ServerProcess {
public:
    using ServerProcess::ServerProcess;

    int amqp_port() const {
        const std::string before = "amqp://localhost:";
        const size_t at = url().find(before);
        if (at == std::string::npos)
            FAIL("no AMQP in: " + url());
        return std::stoi(url().substr(at + before.size()));
    }

    std::unique_ptr<AmqpClient> connect(const SocketOptions &options = {}) const {
        auto client = std::make_unique<AmqpClient>(amqp_port(), options);
        client->await_open();
        return client;
    }
};

// Goes there and back on the connection, twice: what the server had to say of what was sent before
// has come by then.
inline void sync(AmqpClient &client) {
    pn_link_t *link = client.sender("sync");
    client.await("an answer", [&] { return AmqpClient::attached(link); });
    client.detach(link);
}

// It says why it does not run, in one line.
inline void check_refuses(const std::string &program, const std::vector<std::string> &arguments,
                          int status, const std::string &with) {
    std::vector<std::string> argv = {program};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    const ProcessResult result = run_process(argv);
    CHECK_EQ(result.exit_status, status);
    CHECK_EQ(result.out, "");
    CHECK_EQ(result.err.find('\n'), result.err.size() - 1);
    if (result.err.find(with) == std::string::npos)
        FAIL("no '" + with + "' in: " + result.err);
}

}  // namespace e2e
