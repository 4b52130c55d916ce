#pragma once

// Everything a program that uses graft as a library needs. C++17 or newer.
#include "graft/adapters/activate.h"
#include "graft/adapters/adapter_set.h"
#include "graft/adapters/attach.h"
#include "graft/adapters/dropout_stream.h"
#include "graft/adapters/lora_options.h"
#include "graft/base/error.h"
