// The conformance cases over the driver transport: the same echo in this process, with no socket.
#include "check.hpp"
#include "session.hpp"

#include <lws_proton.h>

extern "C" {
#include "echo_protocol.h"
}

#include <algorithm>
#include <cstring>

#include "cases.hpp"

namespace conformance {

namespace {

lws_context *context;
lws_vhost *vhost;

class DriverPeer : public Peer {
public:
    DriverPeer()
        : driver_(lws_proton_driver_new(
              lws_proton_loop_of(context), 0, [](void *) {}, nullptr)) {
        CHECK(driver_);
        CHECK(lws_adopt_socket_vhost(vhost, lws_proton_driver_conn(driver_)));
    }
    ~DriverPeer() override { lws_proton_driver_free(driver_); }

    void send(std::string_view bytes) override {
        move(&bytes);
        CHECK(bytes.empty() || ended());
    }

    bool receive_more() override {
        const size_t before = received.size();
        std::string_view nothing;
        move(&nothing);
        if (received.size() > before)
            return true;
        if (!ended())
            FAIL("nothing comes from the server, nor does it end the connection");
        return false;
    }

private:
    bool ended() { return lws_proton_driver_write_closed(driver_); }

    // Moves bytes both ways until nothing moves.
    void move(std::string_view *bytes) {
        for (bool moved = true; moved;) {
            const pn_rwbytes_t in = lws_proton_driver_read_buffer(driver_);
            const size_t n = std::min(in.size, bytes->size());
            if (n) {
                memcpy(in.start, bytes->data(), n);
                lws_proton_driver_read_done(driver_, n);
                bytes->remove_prefix(n);
            }
            moved = lws_proton_driver_service(driver_) || n;
            const pn_bytes_t out = lws_proton_driver_write_buffer(driver_);
            if (out.size) {
                received.append(out.start, out.size);
                lws_proton_driver_write_done(driver_, out.size);
                moved = true;
            }
        }
    }

    lws_proton_driver_t *driver_;
};

int start(void **) {
    lws_set_log_level(LLL_ERR | LLL_WARN, nullptr);
    lws_context_creation_info info = {};
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options = LWS_SERVER_OPTION_PROTON | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_VALIDATE_UTF8;
    info.pt_serv_buf_size = ECHO_PIECE;
    info.protocols = echo_protocols;
    info.extensions = echo_extensions;
    context = lws_create_context(&info);
    vhost = context ? lws_create_vhost(context, &info) : nullptr;
    return vhost ? 0 : -1;
}

int stop(void **) {
    lws_context_destroy(context);
    return 0;
}

}  // namespace

std::unique_ptr<Peer> connect_to_echo() {
    return std::make_unique<DriverPeer>();
}

}  // namespace conformance

int main() {
    return conformance::run("conformance over the driver", conformance::start, conformance::stop);
}
