// SPDX-License-Identifier: MIT
#include "name_service.hpp"

#include "check.hpp"

#include <condition_variable>
#include <dlfcn.h>
#include <mutex>
#include <netdb.h>

namespace lws_test {

namespace {

struct Service {
    std::mutex mutex;
    std::condition_variable changed;
    bool held = false;
    int asked = 0, busy = 0;
    int error = EAI_NONAME;
    std::vector<std::string> addresses;
} service;

int library_getaddrinfo(const char *node, const char *port, const addrinfo *hints,
                        addrinfo **result) {
    static const auto next =
        reinterpret_cast<decltype(&getaddrinfo)>(dlsym(RTLD_NEXT, "getaddrinfo"));
    return next(node, port, hints, result);
}

// freeaddrinfo() frees a list one by one, so that the answers to several questions can be joined.
addrinfo *addresses() {
    addrinfo hints = {}, *first = nullptr, **next = &first;
    hints.ai_flags = AI_NUMERICHOST;
    hints.ai_socktype = SOCK_STREAM;
    for (const std::string &address : service.addresses) {
        if (library_getaddrinfo(address.c_str(), nullptr, &hints, next) != 0)
            FAIL("not an address: " + address);
        next = &(*next)->ai_next;
    }
    return first;
}

int look_up(addrinfo **result) {
    std::unique_lock<std::mutex> lock(service.mutex);
    service.asked++;
    service.busy++;
    service.changed.wait(lock, [] { return !service.held; });
    service.busy--;
    service.changed.notify_all();
    if (!service.error)
        *result = addresses();
    return service.error;
}

}  // namespace

extern "C" int getaddrinfo(const char *node, const char *port, const addrinfo *hints,
                           addrinfo **result) {
    addrinfo numeric = {};
    if (hints)
        numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    const int error = library_getaddrinfo(node, port, &numeric, result);
    const bool is_name = error == EAI_NONAME && !(hints && (hints->ai_flags & AI_NUMERICHOST));
    return is_name ? look_up(result) : error;
}

NameService::NameService() {
    service.asked = 0;
    answer_error(EAI_NONAME);
}

NameService::~NameService() {
    release();
    std::unique_lock<std::mutex> lock(service.mutex);
    service.changed.wait(lock, [] { return !service.busy; });
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
    service.changed.notify_all();
}

int NameService::asked() const {
    std::lock_guard<std::mutex> lock(service.mutex);
    return service.asked;
}

}  // namespace lws_test
