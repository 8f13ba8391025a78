// The same sessions played to two programs, one on Proton's buffers and one on stock
// libwebsockets' sockets, and what each of them was called back for.
//
//   LWS_PROTON_CALLBACKS, LWS_STOCK_CALLBACKS    compile definitions: the two programs
//   LWS_PROTON_SESSION                           environment: only the sessions of this name, which
//                                                may contain *
//
// What is compared is, for each connection, every callback in its order, as callbacks.c writes it
// down, and what the peer saw. Callbacks of different connections may mix in any way.
#pragma once

#include "server_process.hpp"
#include "transcript.hpp"

#include <map>
#include <string>
#include <vector>

namespace differential {

// One of the two programs.
class Subject {
public:
    Subject(const std::string &program, const std::vector<std::string> &arguments);

    int port(const std::string &vhost) const;

    // The callbacks so far.
    Transcript callbacks() const;
    size_t count() const { return callbacks().size(); }

    e2e::ServerProcess &process() { return process_; }

private:
    e2e::ServerProcess process_;
    std::map<std::string, int> ports_;
};

// One session with one of them.
class Play {
public:
    explicit Play(Subject &subject) : subject_(subject), begin_(subject.count()) {}

    int port(const std::string &vhost) const { return subject_.port(vhost); }

    // Waits until the callback has come so often in this session. `what` is the begin of its line,
    // such as "RECEIVE " or "note: !pause".
    void await_callback(const std::string &what, size_t count = 1) const;

    // One more connection that the program is to see the end of before the session has ended.
    void one_more_connection() { ++connections_; }

    // Something that the peer saw; compared as well.
    void saw(const std::string &what) { seen_.push_back("peer: " + what); }

    // How the network cuts what the session sends decides how often the program is called: all
    // pieces that a connection receives count as one, at the place of the first, as do all its
    // calls for writing. What came before any other callback stays before it.
    void pieces_may_differ() { how_.pieces_may_differ = true; }

    // A text that is another in each program, such as a port's number, and what to put for it.
    void hide(const std::string &text, const std::string &instead) { how_.hidden[text] = instead; }

    // Waits for the end of all connections.
    Transcript end();

private:
    Transcript lines() const;
    bool all_connections_have_ended() const;

    Subject &subject_;
    size_t begin_;
    size_t connections_ = 0;
    Normalising how_;
    Transcript seen_;
};

struct Session {
    const char *name;
    void (*play)(Play &);
};

// All of them as CMocka tests, and stopping as the last. The result of main().
int run(const char *group, const std::vector<Session> &sessions);

}  // namespace differential

#define SESSION(name)                                                                              \
    { #name, name }
