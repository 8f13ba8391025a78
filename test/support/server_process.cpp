#include "server_process.hpp"

#include "check.hpp"
#include "waiting.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

namespace e2e {

namespace {

UniqueFd memory_file(const char *name)
{
    UniqueFd fd(memfd_create(name, MFD_CLOEXEC));
    if (!fd.valid())
        FAIL("memfd_create: " + std::string(strerror(errno)));
    return fd;
}

// pread(), so that the offset that the writing child shares stays where it is.
std::string contents(int fd)
{
    std::string text;
    char block[65536];
    ssize_t got;
    while ((got = pread(fd, block, sizeof block, static_cast<off_t>(text.size()))) > 0)
        text.append(block, static_cast<size_t>(got));
    return text;
}

// The child dies with this process, even if a watchdog kills this process.
pid_t spawn(const std::vector<std::string> &argv, int stdout_fd, int stderr_fd)
{
    std::vector<char *> args;
    for (const std::string &arg : argv)
        args.push_back(const_cast<char *>(arg.c_str()));
    args.push_back(nullptr);

    const pid_t parent = getpid();
    const pid_t child = fork();
    if (child < 0)
        FAIL("fork: " + std::string(strerror(errno)));
    if (child > 0)
        return child;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(127);
    dup2(stdout_fd, STDOUT_FILENO);
    dup2(stderr_fd, STDERR_FILENO);
    execvp(args[0], args.data());
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", args[0], strerror(errno));
    _exit(127);
}

size_t occurrences(const std::string &text, const std::string &part)
{
    size_t count = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
        ++count;
    return count;
}

} // namespace

std::string server_program()
{
    if (const char *path = getenv("LWS_PROTON_MIRROR"))
        return path;
#ifdef LWS_PROTON_MIRROR
    return LWS_PROTON_MIRROR;
#else
    FAIL("LWS_PROTON_MIRROR names no program");
#endif
}

int threads_under_test()
{
    const char *threads = getenv("LWS_PROTON_TEST_THREADS");
    return threads ? atoi(threads) : 1;
}

std::vector<std::string> thread_arguments()
{
    std::vector<std::string> arguments;
    if (threads_under_test() != 1)
        arguments = {"--threads", std::to_string(threads_under_test())};
    // As a program with a Proton loop of its own.
    if (getenv("LWS_PROTON_TEST_OWN_PROACTOR"))
        arguments.push_back("--own-proactor");
    return arguments;
}

ServerProcess::ServerProcess(std::vector<std::string> arguments)
    : ServerProcess(server_program(), std::move(arguments))
{
}

ServerProcess::ServerProcess(const std::string &program, std::vector<std::string> arguments)
    : stderr_(memory_file("server-stderr"))
{
    std::vector<std::string> argv{program, "--port", "0"};
    for (const std::string &argument : thread_arguments())
        argv.push_back(argument);
    argv.insert(argv.end(), arguments.begin(), arguments.end());

    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        FAIL("pipe2: " + std::string(strerror(errno)));
    stdout_ = UniqueFd(ends[0]);
    UniqueFd write_end(ends[1]);
    pid_ = spawn(argv, write_end.get(), stderr_.get());
    write_end.close();
    try {
        read_ready_line();
    } catch (const CheckFailed &error) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
        throw CheckFailed(std::string(error.what()) + "\n" + log_tail());
    }
}

ServerProcess::~ServerProcess()
{
    if (pid_ < 0)
        return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    fprintf(stderr, "the server's last words:\n%s\n", log_tail().c_str());
}

void ServerProcess::read_ready_line()
{
    const Deadline deadline;
    while (stdout_text_.find('\n') == std::string::npos) {
        pollfd waiting{stdout_.get(), POLLIN, 0};
        if (poll(&waiting, 1, deadline.remaining_ms()) <= 0)
            FAIL("the server printed no ready line");
        char block[256];
        const ssize_t got = read(stdout_.get(), block, sizeof block);
        if (got <= 0)
            FAIL("the server ended before it was ready");
        stdout_text_.append(block, static_cast<size_t>(got));
    }
    if (sscanf(stdout_text_.c_str(), "ready: %*[a-z]://localhost:%d/\n", &port_) != 1)
        FAIL("not a ready line: " + stdout_text_);
    const size_t start = strlen("ready: ");
    url_ = stdout_text_.substr(start, stdout_text_.find('\n') - start);
}

bool ServerProcess::running()
{
    if (pid_ < 0)
        return false;
    if (waitpid(pid_, nullptr, WNOHANG) == 0)
        return true;
    pid_ = -1;
    fprintf(stderr, "the server died; its last words:\n%s\n", log_tail().c_str());
    return false;
}

size_t ServerProcess::rss_kib() const
{
    std::ifstream status("/proc/" + std::to_string(pid_) + "/status");
    std::string line;
    while (std::getline(status, line))
        if (line.rfind("VmRSS:", 0) == 0)
            return std::stoul(line.substr(strlen("VmRSS:")));
    FAIL("no VmRSS: the server is gone");
}

size_t ServerProcess::rss_growth_kib(size_t before) const
{
    const size_t now = rss_kib();
    return now > before ? now - before : 0;
}

size_t ServerProcess::fd_count() const
{
    DIR *directory = opendir(("/proc/" + std::to_string(pid_) + "/fd").c_str());
    if (!directory)
        FAIL("no /proc/PID/fd: the server is gone");
    size_t count = 0;
    while (const dirent *entry = readdir(directory))
        if (entry->d_name[0] != '.')
            ++count;
    closedir(directory);
    return count;
}

std::string ServerProcess::log() const
{
    const std::string all = contents(stderr_.get());
    const size_t begins = all.find('\n');
    const bool says_room = begins != std::string::npos &&
                           all.rfind(" connections", begins) == begins - strlen(" connections") &&
                           all.rfind(": room for ", begins) != std::string::npos;
    return says_room ? all.substr(begins + 1) : all;
}

size_t ServerProcess::count_in_log(const std::string &text) const
{
    return occurrences(log(), text);
}

std::string ServerProcess::log_tail() const
{
    constexpr size_t kMostBytes = 6000; // a sanitizer's report fits
    const std::string all = log();
    return all.size() <= kMostBytes ? all : "..." + all.substr(all.size() - kMostBytes);
}

void ServerProcess::stop(int signal_number)
{
    if (!running())
        FAIL("the server was dead before it was stopped");
    kill(pid_, signal_number);

    // Its end of the pipe closes when it exits: that is the event to wait for.
    const Deadline deadline;
    bool open = true;
    while (open) {
        pollfd waiting{stdout_.get(), POLLIN, 0};
        if (poll(&waiting, 1, deadline.remaining_ms()) <= 0)
            FAIL("the server does not stop");
        char block[256];
        const ssize_t got = read(stdout_.get(), block, sizeof block);
        open = got > 0;
        if (open)
            stdout_text_.append(block, static_cast<size_t>(got));
    }
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        FAIL("the server ended with wait status " + std::to_string(status) + "\n" + log_tail());
    CHECK_EQ(occurrences(stdout_text_, "\n"), 1u);
}

ProcessResult run_process(const std::vector<std::string> &argv)
{
    const UniqueFd out = memory_file("stdout");
    const UniqueFd err = memory_file("stderr");
    const pid_t child = spawn(argv, out.get(), err.get());

    int status = 0;
    pid_t ended = 0;
    try {
        await(argv[0] + " to end",
              [&] { return (ended = waitpid(child, &status, WNOHANG)) != 0; });
    } catch (...) {
        kill(child, SIGKILL);
        waitpid(child, nullptr, 0);
        throw;
    }
    ProcessResult result;
    result.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result.out = contents(out.get());
    result.err = contents(err.get());
    return result;
}

} // namespace e2e
