// The conformance cases over TCP, with the echo program that LWS_PROTON_ECHO names.
#include "check.hpp"
#include "echo_server.hpp"
#include "session.hpp"
#include "tcp_socket.hpp"

#include <poll.h>

#include "cases.hpp"

namespace conformance {

namespace {

std::unique_ptr<e2e::EchoServer> server;

class TcpPeer : public Peer {
public:
    TcpPeer() : socket_(server->port()) {}

    void send(std::string_view bytes) override {
        while (!bytes.empty() && open_) {
            pollfd waiting{socket_.fd(), POLLIN | POLLOUT, 0};
            if (poll(&waiting, 1, e2e::Deadline().remaining_ms()) <= 0)
                FAIL("the server takes no more bytes");
            if (waiting.revents & (POLLIN | POLLERR | POLLHUP))
                receive();
            if (!(waiting.revents & POLLOUT))
                continue;
            const e2e::IoResult sent = socket_.send_some(bytes);
            open_ = open_ && sent.state != e2e::Io::reset;
            bytes.remove_prefix(sent.bytes);
        }
    }

    bool receive_more() override {
        for (const size_t before = received.size(); open_ && received.size() == before;) {
            if (!socket_.await_readable(e2e::Deadline(kPatience)))
                FAIL("nothing comes from the server, nor does it end the connection");
            receive();
        }
        return open_;
    }

private:
    // Shorter than the time-outs of lws's closing: an end that comes by one of these is too late.
    static constexpr std::chrono::milliseconds kPatience{e2e::kSanitized ? 20000 : 2500};

    void receive() {
        char block[65536];
        const e2e::IoResult got = socket_.receive_some(block, sizeof block);
        received.append(block, got.bytes);
        open_ = got.state == e2e::Io::ok || got.state == e2e::Io::would_block;
    }

    e2e::TcpSocket socket_;
    bool open_ = true;
};

int start(void **) {
    server = std::make_unique<e2e::EchoServer>();
    return 0;
}

int stop(void **) {
    server->stop();
    server.reset();
    return 0;
}

}  // namespace

std::unique_ptr<Peer> connect_to_echo() {
    return std::make_unique<TcpPeer>();
}

}  // namespace conformance

int main() {
    return conformance::run("conformance over TCP", conformance::start, conformance::stop);
}
