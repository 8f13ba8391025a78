// What patches/qpid-proton mends and adds: each of these fails on Debian's Proton 0.37 as it is,
// but those that say so. To be run on the patched one.
#include "stage.hpp"

#include "check.hpp"
#include "own_process.hpp"
#include "tcp_listener.hpp"
#include "tcp_socket.hpp"
#include "test_main.hpp"
#include "unique_fd.hpp"

#include <array>
#include <fcntl.h>
#include <future>
#include <sys/resource.h>

extern "C" __attribute__((weak)) void pnx_raw_connection_abort(pn_raw_connection_t *);

using namespace backports;
using namespace e2e;

namespace {

void give(pn_raw_connection_t *raw, char *bytes, uint32_t capacity) {
    pn_raw_buffer_t buffer = {};
    buffer.bytes = bytes;
    buffer.capacity = capacity;
    CHECK_EQ(pn_raw_connection_give_read_buffers(raw, &buffer, 1), 1u);
}

std::string take(pn_raw_connection_t *raw) {
    std::string got;
    pn_raw_buffer_t buffer;
    while (pn_raw_connection_take_read_buffers(raw, &buffer, 1))
        got.append(buffer.bytes + buffer.offset, buffer.size);
    return got;
}

void write(pn_raw_connection_t *raw, std::string &bytes) {
    pn_raw_buffer_t buffer = {};
    buffer.bytes = bytes.data();
    buffer.size = buffer.capacity = static_cast<uint32_t>(bytes.size());
    CHECK_EQ(pn_raw_connection_write_buffers(raw, &buffer, 1), 1u);
}

size_t take_written(pn_raw_connection_t *raw) {
    size_t n = 0;
    pn_raw_buffer_t buffer;
    while (pn_raw_connection_take_written_buffers(raw, &buffer, 1))
        n++;
    return n;
}

// More than kernels hold of a connection whose peer does not read.
constexpr size_t kTooMuch = 64 * 1024 * 1024;

// Writes more than a socket takes at once, and closes.
class Leaver {
public:
    explicit Leaver(Stage &stage) {
        stage.on_event = [this](pn_raw_connection_t *raw, pn_event_type_t type) {
            if (type == PN_RAW_CONNECTION_CONNECTED) {
                write(raw, much);
                pn_raw_connection_close(raw);
            }
            written += take_written(raw);
        };
    }
    std::string much = std::string(kTooMuch, 'x');
    size_t written = 0;
};

// Reads with one small buffer, which is given again as soon as it was taken.
class Reader {
public:
    explicit Reader(Stage &stage) {
        stage.on_event = [this](pn_raw_connection_t *raw, pn_event_type_t type) {
            if (type == PN_RAW_CONNECTION_CONNECTED)
                give(raw, buffer_.data(), buffer_.size());
            if (type != PN_RAW_CONNECTION_READ)
                return;
            got += take(raw);
            if (!pn_raw_connection_is_read_closed(raw))
                give(raw, buffer_.data(), buffer_.size());
        };
    }
    std::string got;

private:
    std::array<char, 1000> buffer_;
};

void what_is_left_of_a_batch_comes_in_the_next() {
    Stage stage;
    stage.most_events = 1;
    TcpSocket peer(stage.listen());
    pn_raw_connection_t *raw = stage.accept();
    stage.run_until("each event", [&] {
        return stage.count(raw, PN_RAW_CONNECTION_CONNECTED) &&
               stage.count(raw, PN_RAW_CONNECTION_NEED_WRITE_BUFFERS) &&
               stage.count(raw, PN_RAW_CONNECTION_NEED_READ_BUFFERS);
    });
}

void a_wake_before_it_is_connected_is_only_a_wake() {
    Stage stage;
    TcpListener listener("127.0.0.1", 0);
    std::vector<TcpSocket> queue = listener.fill_queue();
    pn_raw_connection_t *raw = stage.connect(listener.port());
    pn_raw_connection_wake(raw);
    stage.run_until("the wake", [&] { return !stage.batches.empty(); });
    CHECK(stage.batches[0].events == std::vector<pn_event_type_t>({PN_RAW_CONNECTION_WAKE}));
    // There is room for it now.
    for (size_t i = 0; i < queue.size(); i++)
        listener.accept();
    stage.run_until("the connection",
                    [&] { return stage.count(raw, PN_RAW_CONNECTION_CONNECTED); });
}

void one_that_is_closed_before_it_is_connected_ends_at_once() {
    Stage stage;
    TcpListener listener("127.0.0.1", 0);
    const std::vector<TcpSocket> queue = listener.fill_queue();
    const size_t before = own_fd_count();
    stage.on_event = [](pn_raw_connection_t *raw, pn_event_type_t type) {
        if (type == PN_RAW_CONNECTION_WAKE)
            pn_raw_connection_close(raw);
    };
    pn_raw_connection_t *raw = stage.connect(listener.port());
    pn_raw_connection_wake(raw);
    stage.run_until_disconnected(raw);
    CHECK_EQ(stage.count(raw, PN_RAW_CONNECTION_CONNECTED), 0u);
    CHECK_EQ(own_fd_count(), before);
}

void disconnected_is_said_once() {
    Stage stage;
    stage.on_event = [](pn_raw_connection_t *raw, pn_event_type_t type) {
        if (type == PN_RAW_CONNECTION_DISCONNECTED)
            pn_raw_connection_wake(raw);  // as another thread may that does not know yet
    };
    pn_raw_connection_t *raw = stage.connect(closed_port());
    stage.run_until_disconnected(raw);
    CHECK_EQ(stage.count(raw, PN_RAW_CONNECTION_DISCONNECTED), 1u);
    CHECK_EQ(stage.batches.size(), 1u);
}

void an_accept_of_nothing_ends_like_a_failed_connect() {
    Stage stage;
    pn_raw_connection_t *none = pn_raw_connection();
    bool failed = false;
    stage.on_accept = [&](pn_listener_t *listener) { pn_listener_raw_accept(listener, none); };
    stage.on_event = [&](pn_raw_connection_t *raw, pn_event_type_t type) {
        if (raw == none && type == PN_RAW_CONNECTION_DISCONNECTED)
            failed = pn_condition_is_set(pn_raw_connection_condition(raw));
    };
    TcpSocket peer(stage.listen());
    stage.run_until_disconnected(none);
    CHECK(failed);
}

void what_is_left_of_a_proactor_ends_with_it() {
    Stage stage;
    TcpSocket peer(stage.listen());
    stage.accept();
    stage.run();
    stage.free();
    Io end = Io::ok;
    peer.receive_to_end(&end);
    CHECK(end == Io::closed);
}

void a_reset_is_seen_without_buffers() {
    Stage stage;
    std::string why;
    stage.on_event = [&](pn_raw_connection_t *raw, pn_event_type_t type) {
        if (type == PN_RAW_CONNECTION_DISCONNECTED)
            why = pn_condition_get_description(pn_raw_connection_condition(raw));
    };
    TcpSocket peer(stage.listen());
    pn_raw_connection_t *raw = stage.accept();
    stage.run();
    peer.reset();
    stage.run_until_disconnected(raw);
    CHECK(why.find("reset") != std::string::npos);
}

// As ever.
void what_came_before_a_reset_is_read() {
    Stage stage;
    std::string got, buffer(4, 0);
    stage.on_event = [&](pn_raw_connection_t *raw, pn_event_type_t type) {
        if (type == PN_RAW_CONNECTION_WAKE)
            give(raw, buffer.data(), 4);
        if (type != PN_RAW_CONNECTION_READ)
            return;
        got += take(raw);
        if (!pn_raw_connection_is_read_closed(raw))
            give(raw, buffer.data(), 4);
    };
    TcpSocket peer(stage.listen());
    pn_raw_connection_t *raw = stage.accept();
    stage.run();
    peer.send_all("what came before");
    pn_raw_connection_wake(raw);
    stage.run_until("the first of it", [&] { return !got.empty(); });
    peer.reset();
    stage.run_until_disconnected(raw);
    CHECK_EQ(got, "what came before");
}

void what_is_given_is_written_in_the_same_batch() {
    Stage stage;
    std::string answer = "answer", buffer(100, 0);
    stage.on_event = [&](pn_raw_connection_t *raw, pn_event_type_t type) {
        if (type == PN_RAW_CONNECTION_CONNECTED)
            give(raw, buffer.data(), 100);
        if (type == PN_RAW_CONNECTION_READ && take(raw) == "question")
            write(raw, answer);
        if (type == PN_RAW_CONNECTION_WRITTEN)
            CHECK_EQ(take_written(raw), 1u);
    };
    TcpSocket peer(stage.listen());
    pn_raw_connection_t *raw = stage.accept();
    stage.run();
    stage.batches.clear();
    peer.send_all("question");
    stage.run_until("the answer", [&] { return stage.count(raw, PN_RAW_CONNECTION_WRITTEN); });
    CHECK_EQ(stage.batches.size(), 1u);
    CHECK_EQ(peer.receive_until("answer"), "answer");
}

// As ever; now there is an edge to be missed.
void what_the_socket_does_not_take_is_written_when_it_does() {
    Stage stage;
    Leaver leaver(stage);
    TcpSocket peer(stage.listen());
    pn_raw_connection_t *raw = stage.accept();
    stage.run();
    CHECK_EQ(leaver.written, 0u);
    std::future<std::string> got =
        std::async(std::launch::async, [&] { return peer.receive_to_end(); });
    stage.run_until_disconnected(raw);
    CHECK_EQ(leaver.written, 1u);
    CHECK(got.get() == leaver.much);
}

// As ever.
void reading_goes_on_as_long_as_there_are_buffers() {
    Stage stage;
    Reader reader(stage);
    TcpSocket peer(stage.listen());
    pn_raw_connection_t *raw = stage.accept();
    const std::string much(100 * 1000, 'x');
    peer.send_last(much);
    stage.run_until("the end", [&] { return stage.count(raw, PN_RAW_CONNECTION_CLOSED_READ); });
    CHECK(reader.got == much);
}

// As ever.
void what_came_meanwhile_is_read_when_there_is_a_buffer() {
    Stage stage;
    std::string got, buffer(100, 0);
    stage.on_event = [&](pn_raw_connection_t *raw, pn_event_type_t type) {
        if (type == PN_RAW_CONNECTION_WAKE)
            give(raw, buffer.data(), 100);
        got += take(raw);
    };
    TcpSocket peer(stage.listen());
    pn_raw_connection_t *raw = stage.accept();
    peer.send_last("meanwhile");
    stage.run();
    pn_raw_connection_wake(raw);
    stage.run_until("it", [&] { return !got.empty(); });
    CHECK_EQ(got, "meanwhile");
    pn_raw_connection_wake(raw);
    stage.run_until("the end", [&] { return stage.count(raw, PN_RAW_CONNECTION_CLOSED_READ); });
}

void an_abort_does_not_wait_for_the_peer() {
    Stage stage;
    Leaver leaver(stage);
    TcpSocket peer(stage.listen());
    pn_raw_connection_t *raw = stage.accept();
    stage.run();
    CHECK_EQ(stage.count(raw, PN_RAW_CONNECTION_DISCONNECTED), 0u);
    CHECK(pnx_raw_connection_abort);
    const auto other = std::async(std::launch::async, [raw] { pnx_raw_connection_abort(raw); });
    stage.run_until_disconnected(raw);
    CHECK_EQ(leaver.written, 1u);
    CHECK_EQ(stage.count(raw, PN_RAW_CONNECTION_DISCONNECTED), 1u);
    Io end = Io::ok;
    peer.receive_to_end(&end);
    CHECK(end == Io::reset);
}

void an_abort_ends_one_that_is_not_connected_yet() {
    Stage stage;
    TcpListener listener("127.0.0.1", 0);
    const std::vector<TcpSocket> queue = listener.fill_queue();
    pn_raw_connection_t *raw = stage.connect(listener.port());
    CHECK(pnx_raw_connection_abort);
    pnx_raw_connection_abort(raw);
    stage.run_until_disconnected(raw);
    CHECK_EQ(stage.count(raw, PN_RAW_CONNECTION_CONNECTED), 0u);
}

void an_abort_in_its_own_batch_ends_it_in_the_next() {
    Stage stage;
    CHECK(pnx_raw_connection_abort);
    stage.on_event = [](pn_raw_connection_t *raw, pn_event_type_t type) {
        if (type == PN_RAW_CONNECTION_CONNECTED)
            pnx_raw_connection_abort(raw);
    };
    TcpSocket peer(stage.listen());
    pn_raw_connection_t *raw = stage.accept();
    stage.run_until_disconnected(raw);
    CHECK_EQ(stage.count(raw, PN_RAW_CONNECTION_DISCONNECTED), 1u);
}

// Every descriptor that this process may have, until it is destroyed.
class NoDescriptorLeft {
public:
    NoDescriptorLeft() {
        getrlimit(RLIMIT_NOFILE, &before_);
        const rlimit few = {own_fd_count() + 20, before_.rlim_max};
        setrlimit(RLIMIT_NOFILE, &few);
        for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0;)
            taken_.emplace_back(fd);
    }
    ~NoDescriptorLeft() { setrlimit(RLIMIT_NOFILE, &before_); }
    NoDescriptorLeft(const NoDescriptorLeft &) = delete;
    NoDescriptorLeft &operator=(const NoDescriptorLeft &) = delete;

private:
    rlimit before_{};
    std::vector<UniqueFd> taken_;
};

// An accept() fails with EMFILE. Then a connection ends, and Proton tries again.
void run_out_of_descriptors(Stage &stage, int port) {
    TcpSocket first(port);
    pn_raw_connection_t *raw = stage.accept();
    TcpSocket second(port);
    {
        NoDescriptorLeft shortage;
        stage.run();
        CHECK_EQ(stage.accepted.size(), 1u);
    }
    first.close();
    pn_raw_connection_close(raw);
    stage.run_until_disconnected(raw);
}

void a_listener_that_ran_out_of_descriptors_accepts_again_and_can_be_closed() {
    Stage stage;
    run_out_of_descriptors(stage, stage.listen());
    stage.run_until("a connection", [&] { return stage.accepted.size() == 2u; });
    pn_raw_connection_t *second = stage.accepted[1];
    stage.close_listener();
    pn_raw_connection_close(second);
    stage.run_until_disconnected(second);
}

void a_listener_that_is_out_of_descriptors_can_be_closed() {
    Stage stage;
    TcpSocket peer(stage.listen());
    NoDescriptorLeft shortage;
    stage.run();
    stage.close_listener();
    CHECK(stage.accepted.empty());
}

void a_proactor_whose_listener_ran_out_of_descriptors_can_be_freed() {
    Stage stage;
    TcpSocket peer(stage.listen());
    {
        NoDescriptorLeft shortage;
        stage.run();
    }
    stage.free();
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(what_is_left_of_a_batch_comes_in_the_next),
        E2E_TEST(a_wake_before_it_is_connected_is_only_a_wake),
        E2E_TEST(one_that_is_closed_before_it_is_connected_ends_at_once),
        E2E_TEST(disconnected_is_said_once),
        E2E_TEST(an_accept_of_nothing_ends_like_a_failed_connect),
        E2E_TEST(what_is_left_of_a_proactor_ends_with_it),
        E2E_TEST(a_reset_is_seen_without_buffers),
        E2E_TEST(what_came_before_a_reset_is_read),
        E2E_TEST(what_is_given_is_written_in_the_same_batch),
        E2E_TEST(what_the_socket_does_not_take_is_written_when_it_does),
        E2E_TEST(reading_goes_on_as_long_as_there_are_buffers),
        E2E_TEST(what_came_meanwhile_is_read_when_there_is_a_buffer),
        E2E_TEST(an_abort_does_not_wait_for_the_peer),
        E2E_TEST(an_abort_ends_one_that_is_not_connected_yet),
        E2E_TEST(an_abort_in_its_own_batch_ends_it_in_the_next),
        E2E_TEST(a_listener_that_ran_out_of_descriptors_accepts_again_and_can_be_closed),
        E2E_TEST(a_listener_that_is_out_of_descriptors_can_be_closed),
        E2E_TEST(a_proactor_whose_listener_ran_out_of_descriptors_can_be_freed),
    };
    return cmocka_run_group_tests_name("back-ported raw connection", tests, nullptr, nullptr);
}
