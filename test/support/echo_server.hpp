// The echo program as a child process.
//
//   LWS_PROTON_ECHO    the program, and its arguments besides, with spaces between
#pragma once

#include "check.hpp"
#include "server_process.hpp"

#include <cstdlib>
#include <iterator>
#include <sstream>

namespace e2e {

class EchoServer : public ServerProcess {
public:
    EchoServer() : EchoServer(command_line()) {}

    static std::vector<std::string> command_line() {
        const char *text = getenv("LWS_PROTON_ECHO");
        if (!text)
            FAIL("LWS_PROTON_ECHO names no program");
        std::istringstream words(text);
        return {std::istream_iterator<std::string>(words), {}};
    }

private:
    explicit EchoServer(std::vector<std::string> words)
        : ServerProcess(words.front(), {words.begin() + 1, words.end()}) {}
};

}  // namespace e2e
