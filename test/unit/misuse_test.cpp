// What lws_proton.h forbids ends a build with assertions, at once and with a word why. (This test
// is in the sanitizers' trees, which have them.)
#include "mutex.hpp"
#include "scripted_loop.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>

using namespace scripted;

namespace {

// What `wrong` says as it ends the process; it has to.
std::string last_words(const std::function<void()> &wrong) {
    int fds[2];
    CHECK(!pipe(fds));
    const pid_t child = fork();
    if (!child) {
        dup2(fds[1], STDERR_FILENO);
        wrong();
        _exit(0);
    }
    close(fds[1]);
    std::string words;
    char bytes[500];
    for (ssize_t n; (n = read(fds[0], bytes, sizeof(bytes))) > 0;)
        words.append(bytes, static_cast<size_t>(n));
    close(fds[0]);
    int status = 0;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    return words;
}

void check_says(const std::string &words, const std::string &why) {
    if (words.find(why) == std::string::npos)
        FAIL("it says: " + words);
}

const char kOutside[] = "not from a callback, nor between enter and leave";
const char kInPt[] = "in a callback of the pt";

void an_event_is_not_handled_in_a_callback(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.on_service = [&](Wsi &, int) {
        pn_proactor_interrupt(s.proactor);
        s.run_one();
    };
    raw.peer_sends("x");
    check_says(last_words([&] { s.run(); }), kOutside);
    wsi.on_service = Wsi::as_lws;
}

void an_event_is_not_handled_by_who_has_entered(ScriptedLoop &s) {
    pn_proactor_interrupt(s.proactor);
    check_says(last_words([&] {
                   const Entered entered(s.loop, 0);
                   s.run_one();
               }),
               kOutside);
}

void no_tick_in_a_callback(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    wsi.on_service = [&](Wsi &, int) { lws_proton_loop_tick(s.loop); };
    raw.peer_sends("x");
    check_says(last_words([&] { s.run(); }), kOutside);
    wsi.on_service = Wsi::as_lws;
}

void no_driver_of_the_same_pt_in_a_callback(ScriptedLoop &s) {
    lws_proton_driver_t *driver = lws_proton_driver_new(s.loop, 0, nullptr, nullptr);
    CHECK(driver);
    check_says(last_words([&] {
                   const Entered entered(s.loop, 0);
                   lws_proton_driver_service(driver);
               }),
               kOutside);
    lws_proton_driver_free(driver);
}

void nobody_leaves_who_has_not_entered(ScriptedLoop &s) {
    check_says(last_words([&] { lws_proton_loop_leave(s.loop); }), "follows");
}

void a_connection_is_used_with_its_pt_only(ScriptedLoop &s) {
    auto [raw, wsi] = s.connect();
    check_says(last_words([&] { wsi.send("x"); }), kInPt);
    check_says(last_words([&] { wsi.recv(1); }), kInPt);
    check_says(last_words([&] { wsi.close(); }), kInPt);
    check_says(last_words([&] {
                   const Entered entered(s.loop, 1 - wsi.conn->tsi);
                   wsi.send("x");
               }),
               kInPt);
}

void locks_are_taken_in_their_order(ScriptedLoop &) {
    using lws_proton::Lock;
    using lws_proton::Mutex;
    using lws_proton::Rank;
    Mutex pt(Rank::pt), another(Rank::pt), listening(Rank::listening), leaf(Rank::leaf),
        other(Rank::leaf);
    { const Lock first(pt), second(another), third(listening), fourth(leaf); }
    const char why[] = "locks are taken in their order";
    check_says(last_words([&] { const Lock first(leaf), second(other); }), why);
    check_says(last_words([&] { const Lock first(leaf), second(pt); }), why);
    check_says(last_words([&] { const Lock first(listening), second(pt); }), why);
    check_says(last_words([&] {
                   Lock first(pt), second(listening), third(leaf);
                   second.unlock();
                   const Lock fourth(listening);
               }),
               why);
}

}  // namespace

#define MISUSE_TEST(name)                                                                          \
    {                                                                                              \
#name, e2e::run_body < in_scripted_loop < name, Version::v0_37, 2, true>>, nullptr,        \
            nullptr, nullptr                                                                       \
    }

int main() {
    const CMUnitTest tests[] = {
        MISUSE_TEST(an_event_is_not_handled_in_a_callback),
        MISUSE_TEST(an_event_is_not_handled_by_who_has_entered),
        MISUSE_TEST(no_tick_in_a_callback),
        MISUSE_TEST(no_driver_of_the_same_pt_in_a_callback),
        MISUSE_TEST(nobody_leaves_who_has_not_entered),
        MISUSE_TEST(a_connection_is_used_with_its_pt_only),
        MISUSE_TEST(locks_are_taken_in_their_order),
    };
    return cmocka_run_group_tests_name("misuse", tests, nullptr, nullptr);
}
