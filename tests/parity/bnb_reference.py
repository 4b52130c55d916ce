"""bitsandbytes' own decoding, without its faster CPU kernel: 0.50.2's AVX-512 code starts a new block at every row, which is wrong where a row is
not a whole number of blocks (its CUDA kernels and its fallback, used here, let blocks straddle rows)."""
import os

os.environ["TORCH_COMPILE_DISABLE"] = "1"  # bitsandbytes compiles its fallback: a minute, and other roundings

import bitsandbytes  # noqa: E402
import bitsandbytes.functional as functional  # noqa: E402
import torch  # noqa: E402
from bitsandbytes.backends.default.ops import _dequantize_4bit_compute  # noqa: E402


def dequantize_4bit(codes, state, *_, **__):
    """bitsandbytes.functional.dequantize_4bit for a codes tensor of any storage dtype."""
    absmax = state.absmax
    if state.nested:
        absmax = functional.dequantize_blockwise(state.absmax, state.state2) + state.offset
    flat = codes.contiguous().view(torch.uint8).view(-1)
    table = functional.get_4bit_type(state.quant_type, device="cpu")
    return _dequantize_4bit_compute(flat, absmax.float(), table, state.blocksize, state.shape, state.dtype)


def use_everywhere(monkeypatch):
    """Linear4bit's training path decodes through this name."""
    monkeypatch.setattr(functional, "dequantize_4bit", dequantize_4bit)
    assert bitsandbytes.functional.dequantize_4bit is dequantize_4bit
