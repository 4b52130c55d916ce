#include <algorithm>
#include <array>
#include <string_view>

#include "graft/base/error.h"
#include "graft/base/log.h"
#include "graft/base/strings.h"
#include "graft/io/quantization_config.h"
#include "graft/models/family_config.h"

namespace graft::models {
namespace {

// Keys of Hugging Face configs that do not change the forward pass of a causal decoder.
constexpr std::string_view kHarmless[] = {
    // where it comes from, how it is stored or run
    "architectures", "model_type", "transformers_version", "torch_dtype", "dtype", "auto_map", "name_or_path", "use_cache", "torchscript",
    "attn_implementation", "use_flash_attn", "use_flash_attention", "use_flash_attention_2", "unsloth_version", "unsloth_fixed",
    "unsloth_training", "is_llama_config", "transformers.js_config", "tokenizer_class", "processor_class", "license",
    "gradient_checkpointing", "use_bfloat16", "use_kernel", "fused_kernels", "tensor_parallel_size", "sequence_parallel", "save_dtype",
    "author", "description", "custom_pipelines", "language", "tags", "base_model", "base_model_name_or_path", "model_name", "version",
    "created_by", "mergekit", "parallelization_style", "end_token_id", "label_smoothing",
    // initialisation and training only
    "initializer_range", "init_method", "init_std", "pretraining_tp", "neftune_noise_alpha", "z_loss_factor", "loss_type",
    "max_sequence_length", "seq_length", "model_max_length", "max_seq_len", "max_seq_length", "training_seq_length", "sequence_length",
    "train_max_length",
    // special tokens and generation defaults (version 4 kept them here)
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "unk_token_id", "mask_token_id", "decoder_start_token_id", "bos_token",
    "eos_token", "pad_token", "unk_token", "forced_bos_token_id", "forced_eos_token_id", "bad_words_ids", "begin_suppress_tokens",
    "suppress_tokens", "diversity_penalty", "do_sample", "early_stopping", "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty", "length_penalty", "max_length", "max_new_tokens", "min_length", "no_repeat_ngram_size",
    "num_beam_groups", "num_beams", "num_return_sequences", "output_scores", "remove_invalid_values", "repetition_penalty",
    "return_dict_in_generate", "temperature", "top_k", "top_p", "typical_p", "typical_sampling", "chat_template", "generation_config",
    // other tasks
    "add_cross_attention", "chunk_size_feed_forward", "cross_attention_hidden_size", "finetuning_task", "id2label", "label2id",
    "num_labels", "is_encoder_decoder", "is_decoder", "output_attentions", "output_hidden_states", "output_router_logits", "prefix",
    "problem_type", "pruned_heads", "return_dict", "task_specific_params", "tie_encoder_decoder", "tf_legacy_loss", "use_return_dict",
    "classifier_dropout", "summary_type",
    // written by tools that know several families; without effect on these
    "attention_window_size", "bos_token_ids", "hidden_size_per_head", "max_window_layers", "num_key_value_groups", "_from_model_config"};

// Dropout acts in training only. graft trains without it (adapter.dropout is another thing), and says so.
constexpr std::string_view kDropout[] = {
    "attention_dropout", "attention_probs_dropout_prob", "attn_pdrop",  "embd_pdrop",       "embedding_dropout",
    "hidden_dropout",    "hidden_dropout_prob",          "resid_pdrop", "residual_dropout", "dropout"};

bool contains(const auto& list, std::string_view name) { return std::find(std::begin(list), std::end(list), name) != std::end(list); }

bool is_off(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) || ((value.is_string() || value.is_structured()) && value.empty()) ||
         (value.is_string() && value.get<std::string>().empty());
}

/// The value at a dotted path (a key may itself contain dots), or null.
const Json* find_path(const Json& json, const std::string& path) {
  if (!json.is_object()) return nullptr;
  if (const auto whole = json.find(path); whole != json.end()) return &*whole;
  for (auto dot = path.find('.'); dot != std::string::npos; dot = path.find('.', dot + 1)) {
    const auto part = json.find(path.substr(0, dot));
    if (part == json.end()) continue;
    if (const Json* found = find_path(*part, path.substr(dot + 1))) return found;
  }
  return nullptr;
}

void warn_about_dropout(const io::ConfigReader& config, const Json& json) {
  for (const auto name : kDropout) {
    const auto found = json.find(std::string(name));
    if (found == json.end() || !config.has(std::string(name))) continue;
    if (!found->is_number() || found->get<double>() != 0.0) {
      log::warning(config.place(std::string(name)) + " is " + dump_json(*found) + "; graft trains the base without dropout");
    }
  }
}

}  // namespace

void check_nothing_is_left(const io::ConfigReader& config, const Json& json, const std::string& family) {
  io::read_quantization_config(config);  // refuses what the loader could not follow
  if (config.has("compression_config")) {
    throw DataError("the model is stored quantized, which this version does not load")
        .at(config.place("compression_config"))
        .hint("use the unquantized model; quant.type in the recipe quantizes it while loading");
  }
  if (config.has("auto_map")) log::verbose(config.origin() + ": auto_map names Python code, which graft does not run");
  warn_about_dropout(config, json);
  for (const auto& path : config.unread()) {
    const Json* value = find_path(json, path);
    if (contains(kHarmless, path) || starts_with(path, "_") || (value != nullptr && is_off(*value))) continue;
    throw DataError("the key is not one that graft's \"" + family + "\" reads; it may change what the model computes")
        .at(config.place(path) + (value != nullptr ? " = " + dump_json(*value).substr(0, 60) : ""))
        .nearest(family)
        .hint("if transformers ignores the key too, remove it from config.json; otherwise this model is not a plain " + family +
              " and is not supported");
  }
}

}  // namespace graft::models
