#pragma once

#include <torch/nn/module.h>

#include <filesystem>
#include <string>

#include "graft/adapters/adapter_set.h"
#include "graft/adapters/adapter_start.h"
#include "graft/adapters/lora_options.h"

namespace graft {

/// Adds a low-rank adapter to any torch::nn model, in place and without touching its code: the weight of every matched Linear and Embedding
/// is replaced by one that answers (W + s·B·A), at whatever depth and whoever calls it (Sequential, ModuleList, MultiheadAttention's
/// out_proj, …).
///
/// The whole model is frozen (requires_grad false) except what the options train. The new adapter becomes the only active one. At the start
/// the outputs are the base's, bit for bit. Further adapters, under other names, must be attached at the same module.
///
/// A weight shared by two modules is stored once; each matched module gets its own A and B, an unmatched one keeps the base.
/// Refused with the reason (UsageError), and the model left as it was: a pattern that matches nothing, a module that is not a Linear or
/// Embedding, an Embedding with max_norm, a second adapter of one name, a trained bias shared by two modules. Trainable matrices that no
/// adapter can reach (MultiheadAttention's packed projection, LSTM, convolutions) are listed in one warning.
///
/// On the adapted model: named_parameters() keeps the base's names; to(device) moves base and adapters; to(dtype) casts a dense base and
/// leaves the trained tensors; zero_grad() clears the adapters' gradients; train()/eval() switch dropout. clone() and torch::save() throw.
/// An optimizer takes AdapterSet::parameters(), never model->parameters().
///
/// With init "pissa" the base of the adapted Linears changes (LoraOptions::init), and the outputs at the start are the base's up to
/// rounding. `start` is for the inits that look at the weights. Should one of those fail half-way (memory, a file that cannot be read), the
/// model is put back only where keep_base kept its weights.
AdapterSet attach(torch::nn::Module& model, const LoraOptions& options, const AdapterStart& start = {});

/// Adds an adapter from a PEFT directory (or its sub-folder `name`), bf16 and fp16 files included; it becomes the only active one. Frozen
/// unless `trainable`. Unknown configuration keys are warned about; anything that would change the result is a DataError.
AdapterSet load_adapter(torch::nn::Module& model, const std::filesystem::path& directory, const std::string& name = "default",
                        bool trainable = false);

}  // namespace graft
