#include "stage.hpp"

#include "check.hpp"
#include "differences.hpp"
#include "temporary_directory.hpp"
#include "test_main.hpp"
#include "transcript.hpp"
#include "waiting.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <sstream>

namespace differential {

namespace {

constexpr size_t kFileSize = 1000000;

struct Stage {
    Stage() {
        const e2e::ProcessResult made = e2e::run_process(
            {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", directory.file("key.pem"),
             "-out", directory.file("certificate.pem")});
        if (made.exit_status != 0)
            FAIL("openssl: " + made.err);
        directory.write("small.txt", "a small file\n");
        directory.write("large.txt", e2e::random_bytes(kFileSize));
        const std::vector<std::string> arguments = {directory.file("certificate.pem"),
                                                    directory.file("key.pem"), directory.path()};
        stock = std::make_unique<Subject>(LWS_STOCK_CALLBACKS, arguments);
        proton = std::make_unique<Subject>(LWS_PROTON_CALLBACKS, arguments);
    }

    e2e::TemporaryDirectory directory;
    std::unique_ptr<Subject> stock, proton;
};

std::unique_ptr<Stage> stage;

bool is_as_described(const Transcript &found, const Transcript &patterns) {
    return std::equal(found.begin(), found.end(), patterns.begin(), patterns.end(),
                      [](const std::string &line, const std::string &pattern) {
                          return fnmatch(pattern.c_str(), line.c_str(), FNM_NOESCAPE) == 0;
                      });
}

void compare(const std::string &session, const Transcript &stock, const Transcript &proton) {
    const Difference *known = known_difference(session);
    const Transcript found = difference(stock, proton);
    if (known ? is_as_described(found, known->lines) || (found.empty() && known->may_be_missing)
              : found.empty())
        return;
    FAIL("- on stock libwebsockets, + on Proton" +
         (known ? "; known is\n" + joined(known->lines) : "") + "\n" +
         joined(difference(stock, proton, true)));
}

using Player = std::function<Transcript(Subject &)>;

// Plays it to both at once.
void compare(const std::string &name, const Player &play) {
    auto stock = std::async(std::launch::async, play, std::ref(*stage->stock));
    const Transcript proton = play(*stage->proton);
    compare(name, stock.get(), proton);
}

Transcript play_session(Subject &subject, const Session &session) {
    Play play(subject);
    session.play(play);
    return play.end();
}

Transcript start(Subject &subject) {
    return normalised(subject.callbacks(), {});
}

Transcript stop(Subject &subject) {
    const size_t begin = subject.count();
    subject.process().stop();
    const Transcript all = subject.callbacks();
    return normalised({all.begin() + static_cast<long>(begin), all.end()}, {});
}

struct Act {
    const char *name;
    Player player;
};

void run_act(void **state) {
    bool failed = false;
    try {
        const Act &act = *static_cast<const Act *>(*state);
        compare(act.name, act.player);
    } catch (const std::exception &error) {
        // CMocka would cut it short.
        fprintf(stderr, "%s\n", error.what());
        failed = true;
    }
    if (failed)
        fail();
}

}  // namespace

Subject::Subject(const std::string &program, const std::vector<std::string> &arguments)
    : process_(program, arguments) {
    std::istringstream log(process_.log());
    std::string word, name;
    int number;
    for (std::string line; std::getline(log, line);)
        if (std::istringstream(line) >> word >> name >> number && word == "port")
            ports_[name] = number;
}

int Subject::port(const std::string &vhost) const {
    const auto found = ports_.find(vhost);
    if (found == ports_.end())
        FAIL("there is no vhost " + vhost);
    return found->second;
}

Transcript Subject::callbacks() const {
    const std::string log = process_.log();
    const std::string mark = "cb ";
    Transcript lines;
    size_t begin = 0, end;
    // A line that is not whole yet is not one.
    for (; (end = log.find('\n', begin)) != std::string::npos; begin = end + 1)
        if (log.compare(begin, mark.size(), mark) == 0)
            lines.push_back(log.substr(begin + mark.size(), end - begin - mark.size()));
    return lines;
}

Transcript Play::lines() const {
    const Transcript all = subject_.callbacks();
    return {all.begin() + static_cast<long>(begin_), all.end()};
}

void Play::await_callback(const std::string &what, size_t count) const {
    e2e::await(what, [&] {
        CHECK(subject_.process().running());
        const Transcript all = lines();
        return static_cast<size_t>(
                   std::count_if(all.begin(), all.end(), [&](const std::string &line) {
                       return line.compare(line.find(' ') + 1, what.size(), what) == 0;
                   })) >= count;
    });
}

bool Play::all_connections_have_ended() const {
    CHECK(subject_.process().running());
    std::map<std::string, bool> ended;
    for (const std::string &line : lines()) {
        const std::string label = line.substr(0, line.find(' '));
        if (label != "listen" && label != "-")
            ended[label] = line.compare(label.size() + 1, 11, "WSI_DESTROY") == 0;
    }
    return ended.size() >= connections_ &&
           std::all_of(ended.begin(), ended.end(), [](const auto &one) { return one.second; });
}

Transcript Play::end() {
    if (!e2e::comes_to_hold([this] { return all_connections_have_ended(); }, e2e::Deadline()))
        FAIL("the program did not see the end of all connections:\n" + joined(lines()));
    Transcript all = normalised(lines(), how_);
    all.insert(all.end(), seen_.begin(), seen_.end());
    return all;
}

int run(const char *group, const std::vector<Session> &sessions) {
    std::vector<Act> acts{{"starting", start}};
    for (const Session &session : sessions)
        acts.push_back(
            {session.name, [session](Subject &subject) { return play_session(subject, session); }});
    acts.push_back({"stopping", stop});

    std::vector<CMUnitTest> tests;
    for (Act &act : acts)
        tests.push_back({act.name, run_act, nullptr, nullptr, &act});
    try {
        stage = std::make_unique<Stage>();
    } catch (const std::exception &error) {
        fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    if (const char *wanted = getenv("LWS_PROTON_SESSION"))
        cmocka_set_test_filter(wanted);
    const int failed = _cmocka_run_group_tests(group, tests.data(), tests.size(), nullptr, nullptr);
    stage.reset();
    return failed;
}

}  // namespace differential
