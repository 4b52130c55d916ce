#include "graft/base/filesystem_error.h"

namespace graft {

IoError io_error(const std::filesystem::filesystem_error& error) {
  IoError result(error.code().message());
  result.at(error.path1().string());
  return result;
}

}  // namespace graft
