#pragma once

#include <cstdio>
#include <memory>

namespace e2e {

// A type of its own: the C library's functions have attributes, which a template's argument such as
// decltype(&fclose) would lose, and GCC 14 warns of that.
struct CloseFile {
    void operator()(FILE *file) const { fclose(file); }
};

using File = std::unique_ptr<FILE, CloseFile>;

} // namespace e2e
