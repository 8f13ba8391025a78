// A network of its own for programs whose ports and hosts are compiled in: loaded with LD_PRELOAD.
//
// The network is the directory LOCAL_NET. A program that listens on port P gets a free port R, and
// the symbolic link LOCAL_NET/P, whose target is R, appears once it listens. Connecting to port P of
// any host connects to R on loopback; without a link P is refused. Every host name is loopback,
// except those below .nope, which do not exist.

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

namespace {

template <typename Function>
Function *real(Function *, const char *name)
{
    return reinterpret_cast<Function *>(dlsym(RTLD_NEXT, name));
}

std::mutex mutex;
std::map<in_port_t, in_port_t> bound; // what the program asked for, what it got

std::string link_of(in_port_t port)
{
    return std::string(getenv("LOCAL_NET")) + '/' + std::to_string(port);
}

// The port's place in an IPv4 or IPv6 address; nullptr for others.
in_port_t *port_of(sockaddr_storage &address)
{
    switch (address.ss_family) {
    case AF_INET:
        return &reinterpret_cast<sockaddr_in &>(address).sin_port;
    case AF_INET6:
        return &reinterpret_cast<sockaddr_in6 &>(address).sin6_port;
    default:
        return nullptr;
    }
}

in_port_t real_port(int fd)
{
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    const bool known = real(getsockname, "getsockname")(
                           fd, reinterpret_cast<sockaddr *>(&address), &length) == 0;
    const in_port_t *port = known ? port_of(address) : nullptr;
    return port ? ntohs(*port) : 0;
}

void set_loopback(sockaddr_storage &address)
{
    if (address.ss_family == AF_INET)
        reinterpret_cast<sockaddr_in &>(address).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else
        reinterpret_cast<sockaddr_in6 &>(address).sin6_addr = in6addr_loopback;
}

// Atomic, and replaces the link of a program that has ended.
void publish(in_port_t asked, in_port_t got)
{
    const std::string link = link_of(asked);
    const std::string fresh = link + '.' + std::to_string(getpid());
    if (symlink(std::to_string(got).c_str(), fresh.c_str()) || rename(fresh.c_str(), link.c_str()))
        perror(link.c_str());
}

// What is looked up instead of a name.
const char *local_name(const char *name, bool ipv6)
{
    std::array<unsigned char, sizeof(in6_addr)> numeric{};
    if (!name || inet_pton(AF_INET, name, numeric.data()) == 1 ||
        inet_pton(AF_INET6, name, numeric.data()) == 1)
        return name;
    const std::string host = name;
    if (host.size() >= 5 && host.compare(host.size() - 5, 5, ".nope") == 0)
        return "not..a.name"; // known to be none without asking anyone
    return ipv6 ? "::1" : "127.0.0.1";
}

} // namespace

extern "C" int bind(int fd, const sockaddr *asked, socklen_t length)
{
    sockaddr_storage address{};
    memcpy(&address, asked, std::min<size_t>(length, sizeof address));
    in_port_t *port = port_of(address);
    const in_port_t wanted = port ? ntohs(*port) : 0;
    const std::lock_guard lock(mutex);
    if (wanted)
        // The other address family is to get the same port.
        *port = htons(bound.count(wanted) ? bound[wanted] : 0);
    const int result = real(bind, "bind")(fd, reinterpret_cast<sockaddr *>(&address), length);
    if (wanted && !result)
        bound[wanted] = real_port(fd);
    return result;
}

// The program sees the port it asked for.
extern "C" int getsockname(int fd, sockaddr *address, socklen_t *length) noexcept
{
    const socklen_t capacity = *length;
    const int result = real(getsockname, "getsockname")(fd, address, length);
    if (result || *length > capacity)
        return result;
    sockaddr_storage copy{};
    memcpy(&copy, address, *length);
    const std::lock_guard lock(mutex);
    for (const auto &[asked, got] : bound)
        if (in_port_t *port = port_of(copy); port && *port == htons(got))
            *port = htons(asked);
    memcpy(address, &copy, *length);
    return result;
}

extern "C" int listen(int fd, int backlog) noexcept
{
    const int result = real(listen, "listen")(fd, backlog);
    const int listen_errno = errno;
    const std::lock_guard lock(mutex);
    for (const auto &[asked, got] : bound)
        if (!result && got == real_port(fd))
            publish(asked, got);
    errno = listen_errno;
    return result;
}

extern "C" int connect(int fd, const sockaddr *asked, socklen_t length)
{
    sockaddr_storage address{};
    memcpy(&address, asked, std::min<size_t>(length, sizeof address));
    if (in_port_t *port = port_of(address)) {
        std::array<char, 8> target{};
        if (readlink(link_of(ntohs(*port)).c_str(), target.data(), target.size() - 1) <= 0) {
            errno = ECONNREFUSED;
            return -1;
        }
        *port = htons(static_cast<in_port_t>(atoi(target.data())));
        set_loopback(address);
    }
    return real(connect, "connect")(fd, reinterpret_cast<sockaddr *>(&address), length);
}

extern "C" int getaddrinfo(const char *name, const char *service, const addrinfo *hints,
                           addrinfo **result)
{
    const bool ipv6 = hints && hints->ai_family == AF_INET6;
    if (!hints || !(hints->ai_flags & AI_NUMERICHOST))
        name = local_name(name, ipv6);
    return real(getaddrinfo, "getaddrinfo")(name, service, hints, result);
}
