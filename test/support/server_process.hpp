// The program under test as a child process.
//
//   path     environment LWS_PROTON_MIRROR, else the compile definition of the same name
//   threads  environment LWS_PROTON_TEST_THREADS, else the program's default
//
// Its stderr goes to an unlinked memory file: the server never blocks on its log, however little
// the test reads of it.
#pragma once

#include "unique_fd.hpp"

#include <signal.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace e2e {

class ServerProcess {
public:
    // Starts it on a free port, with `arguments` besides, and returns once it says that it is ready.
    explicit ServerProcess(std::vector<std::string> arguments = {});
    // The same with another program, whose command line is alike.
    ServerProcess(const std::string &program, std::vector<std::string> arguments);
    ServerProcess(const ServerProcess &) = delete;
    ServerProcess &operator=(const ServerProcess &) = delete;

    // A server that was not stopped dies here, and what it logged last is printed.
    ~ServerProcess();

    int port() const { return port_; }
    // As the ready line says it.
    const std::string &url() const { return url_; }
    pid_t pid() const { return pid_; }

    bool running();
    size_t rss_kib() const;
    // By how much that is more than `before`; 0 if it is less.
    size_t rss_growth_kib(size_t before) const;
    size_t fd_count() const;
    // Without the line that says for how many connections it has room.
    std::string log() const;

    // How often `text` occurs in the log.
    size_t count_in_log(const std::string &text) const;

    // Sends the signal, then checks that it exits with status 0 and printed no second line on stdout.
    void stop(int signal_number = SIGTERM);

private:
    void read_ready_line();
    std::string log_tail() const;

    pid_t pid_ = -1;
    UniqueFd stdout_;
    UniqueFd stderr_;
    std::string stdout_text_;
    std::string url_;
    int port_ = 0;
};

// The path of the program under test, and its arguments for the number of threads asked for.
std::string server_program();
std::vector<std::string> thread_arguments();
int threads_under_test();

struct ProcessResult {
    int exit_status = -1; // -1: died of a signal
    std::string out;
    std::string err;
};

// Runs a program to its end. argv[0] is looked up in PATH.
ProcessResult run_process(const std::vector<std::string> &argv);

} // namespace e2e
