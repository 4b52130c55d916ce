#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "graft/io/adapter_inspect.h"

namespace graft::io {

/// What is known of the base model, for the rules that need it.
struct AdapterBase {
  std::string model_type;  ///< config.json's
  bool tied_embeddings = false;
  std::vector<std::pair<std::string, std::vector<int64_t>>> linears;  ///< full path, [out, in]
};

struct AdapterFinding {
  bool blocks = true;   ///< false: loads, but the user should know
  std::string subject;  ///< config field, tensor or module
  std::string why;      ///< what the consumer does with it
  std::string what_to_do;
};

struct AdapterVerdict {
  std::string consumer;
  std::vector<AdapterFinding> findings;
  bool ok() const;  ///< nothing blocks
};

/// The consumers whose rules are known: peft, vllm, llama.cpp, sglang, ollama.
const std::vector<std::string>& adapter_consumers();

/// What each consumer would refuse, ignore or compute differently. Rules from reading their loaders (PEFT 0.21, vLLM's PEFTHelper and
/// LoRAModel, llama.cpp's convert_lora_to_gguf.py, SGLang, Ollama's ADAPTER). A scale the consumer would compute otherwise than PEFT
/// counts as blocking: it would run with the wrong strength and say nothing. Reads the tensors to see that they are finite.
/// UsageError with the nearest name for an unknown consumer.
std::vector<AdapterVerdict> check_adapter(const AdapterFacts& adapter, const std::vector<std::string>& consumers,
                                          const std::optional<AdapterBase>& base);

}  // namespace graft::io
