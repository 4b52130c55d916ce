"""bitsandbytes' own decoding, without its faster CPU kernel: 0.50.2's AVX-512 code starts a new block at every row, which is wrong where a row is
not a whole number of blocks (its CUDA kernels and its fallback, used here, let blocks straddle rows)."""
import os

os.environ["TORCH_COMPILE_DISABLE"] = "1"  # bitsandbytes compiles its fallback: a minute, and other roundings

import bitsandbytes  # noqa: E402
import bitsandbytes.functional as functional  # noqa: E402
import torch  # noqa: E402
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute  # noqa: E402


def dequantize_4bit(codes, state, dtype=None):
    """bitsandbytes.functional.dequantize_4bit for codes of any storage dtype; `dtype` instead of the state's."""
    absmax = state.absmax
    if state.nested:
        absmax = functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    flat = codes.contiguous().view(-1).view(torch.uint8)
    table = functional.get_4bit_type(state.quant_type, device="cpu")
    return _dequantize_4bit_compute(flat, absmax.float(), table, state.blocksize, state.shape, dtype or state.dtype)


def matmul_4bit(x, codes, quant_state, out=None, bias=None):
    """What bitsandbytes.matmul_4bit computes in training: decoded to the input's dtype, then a plain product."""
    return torch.nn.functional.linear(x, dequantize_4bit(codes.data, quant_state, x.dtype), bias)


def use_everywhere(monkeypatch):
    """Linear4bit multiplies through this name."""
    monkeypatch.setattr(bitsandbytes, "matmul_4bit", matmul_4bit)
