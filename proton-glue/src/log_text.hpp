// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <string_view>

namespace lws_proton {

// How much of `line`, escaped, has room in `size` bytes, at `to`. What could end a line, move a
// terminal's cursor or turn the direction of text is \xNN, and so is what is not UTF-8.
size_t escape_line(std::string_view line, char *to, size_t size) noexcept;

// The same, of a word: see lws_proton_log_word().
size_t escape_word(std::string_view word, char *to, size_t size) noexcept;

}  // namespace lws_proton
