#include "differences.hpp"

namespace differential {

const std::vector<Difference> &known_differences()
{
    static const std::vector<Difference> differences = {
        {"three_requests_in_one_segment",
         "stock overwrites pipelined requests with the first one's answer (docs/lws-findings.md)",
         {
             "+ 1 HTTP_WRITEABLE protocol=first",
         },
         false},
    };
    return differences;
}

} // namespace differential
