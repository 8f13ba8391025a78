// SPDX-License-Identifier: MIT
//
// TLS records. After the manner a byte says which vhost (see kVhosts) and one who speaks: 'r', the
// input as it is; any other, OpenSSL as a client, whose records the input's operations damage.
#include "harness.hpp"

#include <algorithm>
#include <memory>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace {

struct Vhost {
    const char *name;
    uint64_t options;
};
constexpr Vhost kVhosts[] = {
    {"localhost", 0},
    {"redirects",
     LWS_SERVER_OPTION_REDIRECT_HTTP_TO_HTTPS | LWS_SERVER_OPTION_ALLOW_NON_SSL_ON_SSL_PORT},
    {"both",
     LWS_SERVER_OPTION_ALLOW_HTTP_ON_HTTPS_LISTENER | LWS_SERVER_OPTION_ALLOW_NON_SSL_ON_SSL_PORT},
};
constexpr size_t kVhostCount = sizeof(kVhosts) / sizeof(*kVhosts);
constexpr int kHandshakeRounds = 8;

lws_vhost *vhost(size_t n) {
    static lws_vhost *made[kVhostCount];
    if (!made[n]) {
        lws_context_creation_info info = fuzz::site();
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | kVhosts[n].options;
        info.ssl_cert_filepath = TLS_DIR "/cert.pem";
        info.ssl_private_key_filepath = TLS_DIR "/key.pem";
        made[n] = fuzz::make_vhost(kVhosts[n].name, info);
    }
    return made[n];
}

uint8_t next(std::string_view &input) {
    if (input.empty())
        return 0;
    const auto byte = static_cast<uint8_t>(input[0]);
    input.remove_prefix(1);
    return byte;
}

std::string_view next(std::string_view &input, size_t n) {
    const std::string_view taken = input.substr(0, n);
    input.remove_prefix(taken.size());
    return taken;
}

SSL_CTX *client_context() {
    static SSL_CTX *const made = [] {
        SSL_CTX *c = SSL_CTX_new(TLS_client_method());
        fuzz::expect(c, "SSL_CTX_new");
        return c;
    }();
    return made;
}

// Turns what it says and hears into bytes, by memory BIOs.
class Client {
public:
    Client(fuzz::Peer &peer, uint8_t kind)
        : peer_(peer), in_(BIO_new(BIO_s_mem())), out_(BIO_new(BIO_s_mem())),
          ssl_(SSL_new(client_context())) {
        fuzz::expect(in_ && out_ && ssl_, "SSL_new");
        SSL_set_bio(ssl_.get(), in_, out_);
        SSL_set_connect_state(ssl_.get());
        SSL_set_tlsext_host_name(ssl_.get(), "localhost");
        if (kind & 1)
            SSL_set_max_proto_version(ssl_.get(), TLS1_2_VERSION);
        static const unsigned char both[] = "\x02h2\x08http/1.1", one[] = "\x08http/1.1";
        if (kind & 2)
            SSL_set_alpn_protos(ssl_.get(), both, sizeof(both) - 1);
        else if (kind & 4)
            SSL_set_alpn_protos(ssl_.get(), one, sizeof(one) - 1);
        peer_.on_output = [this](std::string_view bytes) {
            BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
        };
    }

    void handshake() {
        for (int i = 0; i < kHandshakeRounds && !SSL_is_init_finished(ssl_.get()); i++) {
            SSL_do_handshake(ssl_.get());
            send();
        }
    }

    void operate(std::string_view &input) {
        const uint8_t op = next(input), n = next(input);
        switch (op & 7) {
        case 0:
        case 1: {
            const std::string_view text = next(input, size_t{n} << (op >> 3 & 3));
            if (!text.empty())
                SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
            break;
        }
        case 2:  // the next records get these bits turned
            damage_at_ = n;
            damage_ = next(input);
            return;
        case 3:  // ... bytes before them
            before_ = next(input, n);
            return;
        case 4:  // ... and go no further than this
            most_ = n;
            return;
        case 5:
            SSL_key_update(ssl_.get(),
                           n & 1 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
            SSL_do_handshake(ssl_.get());
            break;
        case 6:
            SSL_renegotiate(ssl_.get());
            SSL_do_handshake(ssl_.get());
            break;
        default:
            SSL_shutdown(ssl_.get());
        }
        send();
    }

private:
    struct Free {
        void operator()(SSL *s) const { SSL_free(s); }
    };

    void send() {
        char *bytes;
        const long n = BIO_get_mem_data(out_, &bytes);
        std::string wire = before_ + std::string(bytes, static_cast<size_t>(n));
        (void)BIO_reset(out_);
        if (damage_at_ < wire.size())
            wire[damage_at_] = static_cast<char>(wire[damage_at_] ^ damage_);
        wire.resize(std::min(wire.size(), most_));
        before_.clear();
        damage_ = 0;
        most_ = SIZE_MAX;
        peer_.exchange(wire);
        char heard[4096];
        while (SSL_read(ssl_.get(), heard, sizeof(heard)) > 0) {
        }
        ERR_clear_error();
    }

    fuzz::Peer &peer_;
    BIO *in_, *out_;
    std::unique_ptr<SSL, Free> ssl_;
    std::string before_;
    size_t damage_at_ = 0, most_ = SIZE_MAX;
    uint8_t damage_ = 0;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    std::string_view input(reinterpret_cast<const char *>(data), size);
    const fuzz::Manner manner = fuzz::Manner::of(input);
    lws_vhost *const server = vhost(next(input) % kVhostCount);
    const uint8_t who = next(input);
    {
        fuzz::Peer peer(manner);
        peer.adopt(server);
        if (who == 'r') {
            peer.on_output = [](std::string_view) {};
            peer.exchange(input);
        } else {
            Client client(peer, who);
            // Some of the operations come first: what they damage is the handshake.
            for (size_t early = who >> 4 & 3; early--;)
                client.operate(input);
            client.handshake();
            while (!input.empty())
                client.operate(input);
            peer.leave();
        }
        peer.on_output = [](std::string_view) {};
        peer.leave();
    }
    fuzz::expect_no_connections();
    return 0;
}
