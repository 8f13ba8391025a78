// SPDX-License-Identifier: MIT
#include "harness.hpp"

extern "C" {
#include "echo_protocol.h"
#include "site_protocols.h"
}

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace fuzz {

namespace {

// Times that lws may be served without a byte moving. A real reason to be served again is gone
// after few.
constexpr int kIdleRounds = 10000;

// Small pieces become larger once so many are through, or long inputs would take seconds.
constexpr size_t kSteps = 500;

lws_http_mount mount(const char *point, unsigned char kind, const char *origin) {
    lws_http_mount m = {};
    m.mountpoint = point;
    m.mountpoint_len = static_cast<unsigned char>(strlen(point));
    m.origin_protocol = kind;
    m.origin = origin;
    m.def = "index.html";
    return m;
}

const lws_http_mount *site_mounts() {
    static const lws_protocol_vhost_options any_file = {nullptr, nullptr, "*",
                                                        "application/octet-stream"};
    static std::vector<lws_http_mount> mounts = {
        mount("/", LWSMPRO_FILE, SITE_FILES),
        mount("/secret", LWSMPRO_FILE, SITE_FILES),
        mount("/cached", LWSMPRO_FILE, SITE_FILES),
        mount("/moved", LWSMPRO_REDIR_HTTPS, "elsewhere.example/there"),
        mount("/events", LWSMPRO_CALLBACK, "events"),
        mount("/poll", LWSMPRO_CALLBACK, "poll"),
        mount("/tell", LWSMPRO_CALLBACK, "tell"),
        mount("/upload", LWSMPRO_CALLBACK, "upload"),
        mount("/body", LWSMPRO_CALLBACK, "body"),
    };
    mounts[1].basic_auth_login_file = SITE_LOGIN;
    mounts[2].cache_max_age = 60;
    mounts[2].cache_reusable = mounts[2].cache_revalidate = 1;
    for (size_t i = 0; i < mounts.size(); i++) {
        mounts[i].extra_mimetypes = &any_file;
        mounts[i].mount_next = i + 1 < mounts.size() ? &mounts[i + 1] : nullptr;
    }
    return mounts.data();
}

const lws_protocols *protocols_of_site() {
    static const std::vector<lws_protocols> protocols = [] {
        std::vector<lws_protocols> all;
        for (const lws_protocols *p = site_protocols; p->name; p++)
            all.push_back(*p);
        all.push_back(echo_protocols[0]);
        all.push_back(LWS_PROTOCOL_LIST_TERM);
        return all;
    }();
    return protocols.data();
}

}  // namespace

void finding(const char *what) {
    fprintf(stderr, "finding: %s\n", what);
    abort();
}

size_t piece = ECHO_PIECE;

lws_context *context() {
    static lws_context *const made = [] {
        // Lines are formatted all the same, and go nowhere.
        if (getenv("FUZZ_LOG"))
            lws_set_log_level(atoi(getenv("FUZZ_LOG")), nullptr);
        else
            lws_set_log_level(LLL_ERR | LLL_WARN | LLL_NOTICE | LLL_INFO, [](int, const char *) {});
        lws_context_creation_info info = {};
        info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
        info.options = LWS_SERVER_OPTION_PROTON | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                       LWS_SERVER_OPTION_VALIDATE_UTF8 | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.pt_serv_buf_size = static_cast<unsigned>(piece);
        return lws_create_context(&info);
    }();
    expect(made, "no context");
    return made;
}

lws_proton_loop_t *loop() {
    return lws_proton_loop_of(context());
}

lws_vhost *make_vhost(const char *name, lws_context_creation_info info) {
    info.vhost_name = name;
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.options |= LWS_SERVER_OPTION_VALIDATE_UTF8;
    lws_vhost *vhost = lws_create_vhost(context(), &info);
    expect(vhost, "no vhost");
    return vhost;
}

lws_context_creation_info site() {
    site_store = SITE_STORE;
    lws_context_creation_info info = {};
    info.protocols = protocols_of_site();
    info.extensions = echo_extensions;
    info.mounts = site_mounts();
    info.log_filepath = "/dev/null";
    return info;
}

lws_context_creation_info echo() {
    lws_context_creation_info info = {};
    info.protocols = echo_protocols;
    info.extensions = echo_extensions;
    return info;
}

void expect_no_connections() {
    for (int i = 0; i < 100 && lws_proton_loop_stats(loop()).connections; i++)
        lws_service(context(), -1);
    expect(!lws_proton_loop_stats(loop()).connections, "a connection that its peer left stays");
}

Manner Manner::of(std::string_view &input) {
    Manner m;
    if (input.size() >= 3) {
        m = {static_cast<uint8_t>(input[0]), static_cast<uint8_t>(input[1]),
             static_cast<uint8_t>(input[2])};
        input.remove_prefix(3);
    }
    return m;
}

Peer::Peer(Manner manner)
    : Peer(manner, lws_proton_driver_new(
                       loop(), 0, [](void *) {}, nullptr)) {}

Peer::Peer(Manner manner, lws_proton_driver_t *driver)
    : manner_(manner), random_(manner.feed + 1u), driver_(driver) {
    expect(driver_, "no driver");
}

Peer::~Peer() {
    lws_proton_driver_free(driver_);
}

void Peer::adopt(lws_vhost *vhost) {
    expect(lws_adopt_socket_vhost(vhost, lws_proton_driver_conn(driver_)), "not adopted");
}

size_t Peer::piece(size_t room, size_t left) {
    size_t most = SIZE_MAX;
    if (manner_.feed >= '1' && manner_.feed <= '9') {
        most = manner_.feed - '0';
    } else if (manner_.feed != '0') {
        random_ = random_ * 1664525u + 1013904223u;
        most = 1 + (random_ >> 8) % (1u << (random_ >> 28));
    }
    return std::min({room, left, std::max(most, fed_ / kSteps)});
}

bool Peer::feed(std::string_view &bytes) {
    if (bytes.empty())
        return false;
    const pn_rwbytes_t in = lws_proton_driver_read_buffer(driver_);
    const size_t n = piece(in.size, bytes.size());
    if (!n)
        return false;
    memcpy(in.start, bytes.data(), n);
    lws_proton_driver_read_done(driver_, n);
    bytes.remove_prefix(n);
    fed_ += n;
    return true;
}

bool Peer::take(bool everything) {
    const pn_bytes_t out = lws_proton_driver_write_buffer(driver_);
    size_t n = out.size;
    if (manner_.take >= '1' && manner_.take <= '4')
        n = std::min<size_t>(n, (1u << (3 * (manner_.take - '0'))) + taken_ / kSteps);
    else if (manner_.take != '0' && !everything)
        n = 0;
    if (!n)
        return false;
    const std::string_view taken(out.start, n);
    taken_ += n;
    if (on_output)
        on_output(taken);
    else
        received += taken;
    lws_proton_driver_write_done(driver_, n);
    return true;
}

size_t Peer::exchange(std::string_view bytes) {
    const size_t all = bytes.size();
    int idle = 0;
    for (bool moved = true; moved;) {
        moved = feed(bytes);
        const bool again = lws_proton_driver_service(driver_);
        moved |= take(!moved && !again);
        idle = moved ? 0 : idle + 1;
        expect(idle < kIdleRounds, "lws is called again and again, and nothing moves");
        moved |= again;
    }
    return all - bytes.size();
}

void Peer::leave() {
    if (manner_.end == 'e')
        lws_proton_driver_read_close(driver_);
    else if (manner_.end == 'c')
        lws_proton_driver_write_close(driver_);
    else
        return;
    exchange({});
}

void converse(lws_vhost *vhost, std::string_view prologue, std::string_view input) {
    const Manner manner = Manner::of(input);
    {
        Peer peer(manner);
        peer.adopt(vhost);
        peer.on_output = [](std::string_view) {};
        peer.exchange(prologue);
        peer.exchange(input);
        peer.leave();
    }
    expect_no_connections();
}

}  // namespace fuzz

extern "C" int LLVMFuzzerInitialize(int *, char ***) {
    fuzz::context();
    return 0;
}
