// SPDX-License-Identifier: MIT
#include "name_service.hpp"

#include "check.hpp"

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <netdb.h>
#include <thread>

namespace lws_test {

namespace {

struct Service {
    std::mutex mutex;
    std::condition_variable released;
    bool held = false;
    int asked = 0;
    int error = EAI_NONAME;
    std::vector<std::string> addresses;
    std::vector<std::thread> lookups;
} service;

// freeaddrinfo() frees a list one by one, so that the answers to several questions can be joined.
addrinfo *addresses() {
    addrinfo hints = {}, *first = nullptr, **next = &first;
    hints.ai_flags = AI_NUMERICHOST;
    hints.ai_socktype = SOCK_STREAM;
    for (const std::string &address : service.addresses) {
        if (getaddrinfo(address.c_str(), nullptr, &hints, next) != 0)
            FAIL("not an address: " + address);
        next = &(*next)->ai_next;
    }
    return first;
}

void look_up(gaicb *request, const sigevent &event) {
    {
        std::unique_lock<std::mutex> lock(service.mutex);
        service.released.wait(lock, [] { return !service.held; });
        request->__return = service.error;
        if (!service.error)
            request->ar_result = addresses();
    }
    event.sigev_notify_function(event.sigev_value);
}

}  // namespace

extern "C" int getaddrinfo_a(int, gaicb **requests, int, sigevent *event) {
    std::lock_guard<std::mutex> lock(service.mutex);
    service.asked++;
    service.lookups.emplace_back(look_up, requests[0], *event);
    return 0;
}

NameService::NameService() {
    service.asked = 0;
    answer_error(EAI_NONAME);
}

NameService::~NameService() {
    release();
    for (std::thread &lookup : service.lookups)
        lookup.join();
    service.lookups.clear();
}

void NameService::answer(const std::vector<std::string> &addresses) {
    std::lock_guard<std::mutex> lock(service.mutex);
    service.error = 0;
    service.addresses = addresses;
}

void NameService::answer_error(int error) {
    std::lock_guard<std::mutex> lock(service.mutex);
    service.error = error;
}

void NameService::hold() {
    std::lock_guard<std::mutex> lock(service.mutex);
    service.held = true;
}

void NameService::release() {
    std::lock_guard<std::mutex> lock(service.mutex);
    service.held = false;
    service.released.notify_all();
}

int NameService::asked() const {
    std::lock_guard<std::mutex> lock(service.mutex);
    return service.asked;
}

}  // namespace lws_test
