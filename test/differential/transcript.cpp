#include "transcript.hpp"

#include <algorithm>
#include <map>

namespace differential {

namespace {

// "1 RECEIVE protocol=echo text first final remaining=0 data=5:'hello' sum=5:#..."
std::string first_word(const std::string &line) {
    return line.substr(0, line.find(' '));
}

std::string after_first_word(const std::string &line) {
    const size_t space = line.find(' ');
    return space == std::string::npos ? "" : line.substr(space + 1);
}

std::string without_field(std::string line, const std::string &name) {
    const size_t at = line.find(" " + name + "=");
    if (at == std::string::npos)
        return line;
    size_t end = line.find(' ', at + 1);
    // The text of a field may hold spaces.
    const size_t quote = line.find('\'', at);
    if (quote < end)
        end = line.find('\'', quote + 1) + 1;
    return line.erase(at, end == std::string::npos ? end : end - at);
}

std::string replaced(std::string line, const std::map<std::string, std::string> &hidden) {
    for (const auto &[text, instead] : hidden)
        for (size_t at = 0; (at = line.find(text, at)) != std::string::npos; at += instead.size())
            line.replace(at, text.size(), instead);
    return line;
}

bool ends_with(const std::string &text, const std::string &end) {
    return text.size() >= end.size() &&
           text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// One connection's callbacks. Between any two others, all pieces that it received are made one, and
// all calls for writing.
Transcript merged(const Transcript &callbacks) {
    std::map<std::string, size_t> first;
    Transcript lines;
    for (const std::string &callback : callbacks) {
        const std::string reason = first_word(callback);
        const bool received = callback.find(" sum=") != std::string::npos;
        if (!received && !ends_with(reason, "WRITEABLE") && reason != "RECEIVE_CLIENT_HTTP") {
            lines.push_back(callback);
            first.clear();
            continue;
        }
        const auto [place, is_first] = first.emplace(reason, lines.size());
        if (is_first)
            lines.emplace_back();
        lines[place->second] =
            received ? reason + callback.substr(callback.find(" sum=")) : callback;
    }
    return lines;
}

}  // namespace

Transcript normalised(const Transcript &callbacks, const Normalising &how) {
    std::vector<std::string> labels;
    std::map<std::string, Transcript> by_label;
    for (const std::string &line : callbacks) {
        const std::string label = first_word(line);
        if (by_label.find(label) == by_label.end())
            labels.push_back(label);
        by_label[label].push_back(after_first_word(line));
    }

    Transcript lines;
    size_t number = 0;
    for (const std::string &label : labels) {
        const bool connection = label != "-" && label != "listen";
        const std::string name = connection ? std::to_string(++number) : label;
        for (const std::string &line :
             how.pieces_may_differ ? merged(by_label[label]) : by_label[label])
            lines.push_back(
                name + " " +
                replaced(how.pieces_may_differ ? line : without_field(line, "sum"), how.hidden));
    }
    return lines;
}

Transcript difference(const Transcript &stock, const Transcript &proton, bool context) {
    // Longest common subsequence: common[i][j] is that of what follows i and j.
    std::vector<std::vector<size_t>> common(stock.size() + 1,
                                            std::vector<size_t>(proton.size() + 1));
    for (size_t i = stock.size(); i--;)
        for (size_t j = proton.size(); j--;)
            common[i][j] = stock[i] == proton[j] ? common[i + 1][j + 1] + 1
                                                 : std::max(common[i + 1][j], common[i][j + 1]);

    Transcript lines;
    size_t i = 0, j = 0;
    while (i < stock.size() || j < proton.size()) {
        if (i < stock.size() && j < proton.size() && stock[i] == proton[j]) {
            if (context)
                lines.push_back("  " + stock[i]);
            ++i, ++j;
        } else if (j == proton.size() ||
                   (i < stock.size() && common[i + 1][j] >= common[i][j + 1])) {
            lines.push_back("- " + stock[i++]);
        } else {
            lines.push_back("+ " + proton[j++]);
        }
    }
    return lines;
}

std::string joined(const Transcript &lines) {
    std::string text;
    for (const std::string &line : lines)
        text += line + "\n";
    return text;
}

}  // namespace differential
