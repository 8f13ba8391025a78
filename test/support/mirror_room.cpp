#include "mirror_room.hpp"

#include "check.hpp"

#include <algorithm>

namespace e2e {

WsClient &MirrorRoom::join(const SocketOptions &options)
{
    clients_.push_back(std::make_unique<WsClient>(port_, "lws-mirror-protocol", path_, options));
    WsClient &joined = *clients_.back();
    drive("a mirror client's handshake", [&] { return joined.state() != WsClient::State::handshaking; });
    CHECK(joined.state() == WsClient::State::open);

    const std::string greeting = "hello " + std::to_string(greetings_++);
    joined.queue_frame(Opcode::text, greeting);
    const auto greeted = [&](const std::unique_ptr<WsClient> &client) {
        return !client->reading() || client->state() == WsClient::State::ended ||
               (!client->frames().empty() && client->frames().back().payload == greeting);
    };
    drive(greeting, [&] { return std::all_of(clients_.begin(), clients_.end(), greeted); });
    for (const auto &client : clients_)
        client->frames().clear();
    return joined;
}

void MirrorRoom::leave(WsClient &client)
{
    clients_.erase(std::remove_if(clients_.begin(), clients_.end(),
                                  [&](const auto &each) { return each.get() == &client; }),
                   clients_.end());
}

void MirrorRoom::drive_until_frames(size_t count)
{
    drive(std::to_string(count) + " messages for each client", [&] {
        return std::all_of(clients_.begin(), clients_.end(), [&](const auto &client) {
            if (client->reading())
                CHECK(client->state() == WsClient::State::open || client->frames().size() >= count);
            return !client->reading() || client->frames().size() >= count;
        });
    });
}

} // namespace e2e
