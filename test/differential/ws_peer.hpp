// A peer of the program over WebSocket.
#pragma once

#include "peer.hpp"
#include "requests.hpp"

#include <string>

namespace differential {

// A connection that has been upgraded to the echo.
class WsPeer : public Peer {
public:
    WsPeer(Play &play, const std::string &vhost = "plain", const std::string &more_headers = "",
           const e2e::SocketOptions &options = {})
        : Peer(play, vhost, options) {
        send(upgrade(subprotocol("echo") + more_headers));
        await("\r\n\r\n");
    }

    // Ends in order: so does every session whose end is not its subject.
    void end_in_order() {
        send(closing(1000));
        await_end();
    }

    // Ends once the program has.
    void end_when_closed() {
        await("\x88");
        half_close();
        await_end();
    }
};

}  // namespace differential
