// The cases, each a function that throws when the server is not right.
#pragma once

#include "test_main.hpp"

#include <vector>

namespace conformance {

std::vector<CMUnitTest> framing_cases();
std::vector<CMUnitTest> text_cases();
std::vector<CMUnitTest> close_cases();
std::vector<CMUnitTest> deflate_cases();
std::vector<CMUnitTest> deflate_offer_cases();

// All of them, over the Peers that connect_to_echo() makes.
inline int run(const char *name, CMFixtureFunction setup, CMFixtureFunction teardown) {
    std::vector<CMUnitTest> all;
    for (const auto cases :
         {framing_cases, text_cases, close_cases, deflate_cases, deflate_offer_cases})
        for (const CMUnitTest &test : cases())
            all.push_back(test);
    return _cmocka_run_group_tests(name, all.data(), all.size(), setup, teardown);
}

}  // namespace conformance
