#include "tcp_socket.hpp"

#include "check.hpp"

#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

namespace e2e {

namespace {

IoResult failed_io(const char *call)
{
    switch (errno) {
    case EAGAIN:
        return {Io::would_block, 0};
    case ECONNRESET:
    case EPIPE:
        return {Io::reset, 0};
    default:
        FAIL(std::string(call) + ": " + strerror(errno));
    }
}

} // namespace

TcpSocket::TcpSocket(int port, const SocketOptions &options) : TcpSocket("127.0.0.1", port, options)
{
}

TcpSocket::TcpSocket(const char *host, int port, const SocketOptions &options)
{
    addrinfo hints{}, *address = nullptr;
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host, std::to_string(port).c_str(), &hints, &address))
        FAIL("not an address: " + std::string(host));
    const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(address, freeaddrinfo);

    fd_ = UniqueFd(socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd_.valid())
        FAIL("socket: " + std::string(strerror(errno)));
    if (options.receive_buffer)
        setsockopt(fd(), SOL_SOCKET, SO_RCVBUF, &options.receive_buffer, sizeof(int));
    if (options.send_buffer)
        setsockopt(fd(), SOL_SOCKET, SO_SNDBUF, &options.send_buffer, sizeof(int));
    // A test that writes byte by byte wants every byte to travel at once.
    const int on = 1;
    setsockopt(fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    if (connect(fd(), address->ai_addr, address->ai_addrlen) < 0 && errno != EINPROGRESS)
        FAIL("connect: " + std::string(strerror(errno)));
}

int TcpSocket::await_connected()
{
    if (!await_writable())
        FAIL("the connection is neither made nor refused");
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(fd(), SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

IoResult TcpSocket::send_some(std::string_view data)
{
    const ssize_t sent = send(fd(), data.data(), data.size(), MSG_NOSIGNAL);
    if (sent < 0)
        return failed_io("send");
    return {Io::ok, static_cast<size_t>(sent)};
}

IoResult TcpSocket::receive_some(char *into, size_t room)
{
    const ssize_t got = recv(fd(), into, room, 0);
    if (got < 0)
        return failed_io("recv");
    return {got ? Io::ok : Io::closed, static_cast<size_t>(got)};
}

bool TcpSocket::await_events(short events, const Deadline &deadline)
{
    pollfd waiting{fd(), events, 0};
    return poll(&waiting, 1, deadline.remaining_ms()) > 0;
}

bool TcpSocket::await_readable(const Deadline &deadline)
{
    return await_events(POLLIN, deadline);
}

bool TcpSocket::await_writable(const Deadline &deadline)
{
    return await_events(POLLOUT, deadline);
}

void TcpSocket::send_all(std::string_view data)
{
    const Deadline deadline;
    while (!data.empty()) {
        if (!await_writable(deadline))
            FAIL("the server takes no more bytes");
        const IoResult sent = send_some(data);
        if (sent.state == Io::reset)
            FAIL("the server closed the connection");
        data.remove_prefix(sent.bytes);
    }
}

std::string TcpSocket::receive_until(std::string_view text)
{
    const Deadline deadline;
    std::string all;
    char block[4096];
    while (all.find(text) == std::string::npos) {
        if (!await_readable(deadline))
            FAIL("the peer does not send " + std::string(text) + "; so far: " + shown(all));
        const IoResult got = receive_some(block, sizeof block);
        if (got.state == Io::closed || got.state == Io::reset)
            FAIL("the peer ended the connection; so far: " + shown(all));
        all.append(block, got.bytes);
    }
    return all;
}

std::string TcpSocket::receive_to_end(Io *how_it_ended)
{
    const Deadline deadline;
    std::string all;
    char block[65536];
    while (true) {
        if (!await_readable(deadline))
            FAIL("the server does not end the connection; so far: " + shown(all));
        const IoResult got = receive_some(block, sizeof block);
        if (got.state == Io::closed || got.state == Io::reset) {
            if (how_it_ended)
                *how_it_ended = got.state;
            return all;
        }
        all.append(block, got.bytes);
    }
}

void TcpSocket::shutdown_write()
{
    ::shutdown(fd(), SHUT_WR);
}

void TcpSocket::send_last(std::string_view data)
{
    CHECK(await_writable());
    CHECK_EQ(send(fd(), data.data(), data.size(), MSG_NOSIGNAL | MSG_MORE),
             static_cast<ssize_t>(data.size()));
    shutdown_write();
}

void TcpSocket::reset()
{
    const linger at_once{1, 0};
    setsockopt(fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    fd_.close();
}

size_t TcpSocket::unsent() const
{
    int bytes = 0;
    ioctl(fd(), SIOCOUTQ, &bytes);
    return static_cast<size_t>(bytes);
}

size_t TcpSocket::unread() const
{
    int bytes = 0;
    ioctl(fd(), FIONREAD, &bytes);
    return static_cast<size_t>(bytes);
}

} // namespace e2e
