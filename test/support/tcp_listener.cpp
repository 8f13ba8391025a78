#include "tcp_listener.hpp"

#include "check.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace e2e {

TcpListener::TcpListener(const char *address, int backlog)
{
    sockaddr_storage storage{};
    socklen_t length;
    if (strchr(address, ':')) {
        auto *v6 = reinterpret_cast<sockaddr_in6 *>(&storage);
        v6->sin6_family = AF_INET6;
        CHECK(inet_pton(AF_INET6, address, &v6->sin6_addr) == 1);
        length = sizeof *v6;
    } else {
        auto *v4 = reinterpret_cast<sockaddr_in *>(&storage);
        v4->sin_family = AF_INET;
        CHECK(inet_pton(AF_INET, address, &v4->sin_addr) == 1);
        length = sizeof *v4;
    }
    fd_ = UniqueFd(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto *name = reinterpret_cast<sockaddr *>(&storage);
    if (!fd_.valid() || bind(fd_.get(), name, length) < 0 || listen(fd_.get(), backlog) < 0 ||
        getsockname(fd_.get(), name, &length) < 0)
        FAIL(std::string("listen on ") + address + ": " + strerror(errno));
    // The port is in the same place for both families.
    port_ = ntohs(reinterpret_cast<sockaddr_in *>(&storage)->sin_port);
}

TcpSocket TcpListener::accept()
{
    pollfd waiting{fd_.get(), POLLIN, 0};
    if (poll(&waiting, 1, Deadline().remaining_ms()) <= 0)
        FAIL("nobody connects");
    UniqueFd accepted(accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted.valid())
        FAIL(std::string("accept: ") + strerror(errno));
    const int on = 1;
    setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return TcpSocket(std::move(accepted));
}

std::vector<TcpSocket> TcpListener::fill_queue()
{
    std::vector<TcpSocket> waiting;
    // One that is not connected at once over loopback is one for which there was no room.
    constexpr std::chrono::milliseconds kAtOnce{200};
    do
        waiting.emplace_back(port_);
    while (waiting.back().await_writable(Deadline(kAtOnce)));
    return waiting;
}

int closed_port()
{
    return TcpListener().port();
}

} // namespace e2e
