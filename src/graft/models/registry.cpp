#include "graft/models/families/list.h"

namespace graft::models {

const std::vector<Family>& families() {
  static const std::vector<Family> all = {
      llama_family(),
      mistral_family(),
      qwen2_family(),
      qwen3_family(),
  };
  return all;
}

}  // namespace graft::models
