#pragma once

#include <filesystem>

#include "graft/base/error.h"

namespace graft {

/// What a std::filesystem function that threw has to say, as an IoError: no fault of graft's.
IoError io_error(const std::filesystem::filesystem_error& error);

}  // namespace graft
