// A self-signed certificate and its key, as PEM files in a temporary directory.
#pragma once

#include "temporary_directory.hpp"

#include <string>

namespace e2e {

class Certificate {
public:
    explicit Certificate(const std::string &common_name);

    const std::string &path() const { return path_; }
    const std::string &key_path() const { return key_path_; }

private:
    TemporaryDirectory directory_;
    std::string path_, key_path_;
};

} // namespace e2e
