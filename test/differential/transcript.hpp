// Lines of a program's log brought into a form that can be compared, and compared.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace differential {

using Transcript = std::vector<std::string>;

struct Normalising {
    // See Play::pieces_may_differ().
    bool pieces_may_differ = false;
    // See Play::hide().
    std::map<std::string, std::string> hidden;
};

// Callbacks ordered by connection, each connection's own order kept; connections numbered from 1.
Transcript normalised(const Transcript &callbacks, const Normalising &how);

// What turns the one into the other: lines of `stock` only with "- " before them, of `proton` only
// with "+ ". With `context`, the lines of both as well, with "  ".
Transcript difference(const Transcript &stock, const Transcript &proton, bool context = false);

std::string joined(const Transcript &lines);

}  // namespace differential
