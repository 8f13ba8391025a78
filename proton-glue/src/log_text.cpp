// SPDX-License-Identifier: MIT
#include "log_text.hpp"

#include <cstdint>
#include <cstring>

namespace lws_proton {

namespace {

constexpr size_t kEscaped = 4;  // \xNN

bool is_printable(unsigned char c) noexcept {
    return c >= 0x20 && c < 0x7f;
}

// The length of the character of UTF-8 that `text`, which begins with no ASCII, begins with; 0: there
// is none. `code` is which.
size_t utf8(std::string_view text, uint32_t &code) noexcept {
    const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(0);
    const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.size() < length)
        return 0;
    code = first & (0x7f >> length);
    for (size_t i = 1; i < length; i++) {
        if ((byte(i) & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (byte(i) & 0x3f);
    }
    const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[length] || code > 0x10ffff || surrogate ? 0 : length;
}

// Of no ASCII: what a terminal or a reader of lines may take for more than a character.
bool is_control(uint32_t code) noexcept {
    return code < 0xa0 ||                        // C1: 9b begins an escape sequence
           code == 0x200e || code == 0x200f ||   // marks of direction
           (code >= 0x2028 && code <= 0x202e) || // ends of lines and paragraphs, overrides
           (code >= 0x2066 && code <= 0x2069) || // isolates
           code == 0xfeff;
}

class Output {
public:
    Output(char *to, size_t size) noexcept : to_(to), size_(size) {}

    bool add(std::string_view bytes) noexcept {
        if (bytes.size() > size_ - used_)
            return false;
        memcpy(to_ + used_, bytes.data(), bytes.size());
        used_ += bytes.size();
        return true;
    }
    bool add_escaped(unsigned char c) noexcept {
        static const char digits[] = "0123456789abcdef";
        const char escaped[] = {'\\', 'x', digits[c >> 4], digits[c & 15]};
        static_assert(sizeof(escaped) == kEscaped);
        return add({escaped, sizeof(escaped)});
    }
    size_t used() const noexcept { return used_; }

private:
    char *const to_;
    const size_t size_;
    size_t used_ = 0;
};

}  // namespace

size_t escape_line(std::string_view line, char *to, size_t size) noexcept {
    Output out(to, size);
    while (!line.empty()) {
        const auto c = static_cast<unsigned char>(line[0]);
        uint32_t code;
        size_t length = 1;
        bool plain = is_printable(c);
        if (c >= 0x80 && (length = utf8(line, code)))
            plain = !is_control(code);
        // Of a character that is escaped, each byte is.
        if (!plain)
            length = 1;
        if (plain ? !out.add(line.substr(0, length)) : !out.add_escaped(c))
            break;
        line.remove_prefix(length);
    }
    return out.used();
}

size_t escape_word(std::string_view word, char *to, size_t size) noexcept {
    Output out(to, size);
    for (const char c : word) {
        const bool plain = is_printable(static_cast<unsigned char>(c)) && !strchr(" \"'=\\", c);
        if (plain ? !out.add({&c, 1}) : !out.add_escaped(static_cast<unsigned char>(c)))
            break;
    }
    return out.used();
}

}  // namespace lws_proton
