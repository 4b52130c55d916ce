#pragma once

// Everything a program that uses graft as a library needs. C++17 or newer; the standard library, LibTorch and graft's own headers only.
#include "graft/adapters/activate.h"
#include "graft/adapters/adapter_set.h"
#include "graft/adapters/attach.h"
#include "graft/adapters/dropout_stream.h"
#include "graft/adapters/four_bit_loader.h"
#include "graft/adapters/lora_options.h"
#include "graft/adapters/quantize.h"
#include "graft/adapters/quantizing_loader.h"
#include "graft/base/error.h"
#include "graft/data/batch.h"
#include "graft/models/load.h"
#include "graft/ops/linear_cross_entropy.h"
#include "graft/ops/recompute.h"
#include "graft/text/tokenizer.h"
#include "graft/train/trainer.h"
