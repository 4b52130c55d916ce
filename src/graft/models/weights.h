#pragma once

#include <cstdint>

#include "graft/io/linear_loader.h"
#include "graft/io/model_directory.h"
#include "graft/models/decoder.h"

namespace graft::models {

/// Throws unless the directory's tensors are exactly the decoder's: one DataError that lists what is missing, left over and
/// mis-shaped (the first 20 of each), and refuses weights stored as integers or 8-bit floats. Reads headers only and allocates
/// nothing, so it also guards against absurd sizes in config.json. rotary_emb.inv_freq of old files is skipped, as is a stored
/// head in a tied model (the embedding wins, as in transformers).
/// `linears` (may be null) answers for the weights it takes.
void check_weights(const DecoderOptions& options, const io::ModelDirectory& directory, const io::LinearLoader* linears = nullptr);

/// A decoder whose parameters wait for load_weights; those that `linears` takes have no memory.
Decoder make_decoder(const DecoderOptions& options, const at::TensorOptions& tensors, const io::LinearLoader* linears);

/// Streams every tensor from disk to its parameter, cast to the parameter's dtype on the way. Peak host memory: the parameters
/// plus one tensor. check_weights must have passed.
void load_weights(Decoder& decoder, const io::ModelDirectory& directory, const io::LinearLoader* linears = nullptr);

/// Random weights as transformers initialises them (matrices normal(0, initializer_range), norms 1, biases 0), each drawn from a
/// stream of its own: a function of (seed, parameter name) whatever the dtype or device.
void initialize_weights(Decoder& decoder, uint64_t seed);

}  // namespace graft::models
