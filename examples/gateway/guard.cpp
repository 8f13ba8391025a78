// SPDX-License-Identifier: MIT
#include "guard.hpp"

namespace gateway {

namespace {

std::vector<const char *> pointers(const std::vector<std::string> &names) {
    std::vector<const char *> list;
    for (const std::string &name : names)
        list.push_back(name.c_str());
    return list;
}

void count(lws *wsi, lws_proton_refusal_t why) {
    Site &site = Site::of(wsi);
    (why == LWS_PROTON_REFUSED_HOST ? site.refused_host : site.refused_origin)++;
}

}  // namespace

Guard::Guard(const Options &options, const std::string &address)
    : origins_(pointers(options.origins)), hosts_(pointers(options.hosts)) {
    // Elsewhere it has whatever names people give it.
    if (hosts_.empty() && !lws_proton_is_loopback(address.c_str()))
        hosts_.push_back("*");
    origins_.push_back(nullptr);
    hosts_.push_back(nullptr);
    guard_ = {origins_.data(), hosts_.data(), count};
}

}  // namespace gateway
