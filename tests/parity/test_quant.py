"""4-bit codes, block maxima and decoded weights of graft against bitsandbytes' functional interface on the CPU.

Promise: maxima, their nested codes' maxima and offset equal; decoding equal bit for bit; codes equal but for weights at a threshold, which are
counted and printed: graft's thresholds are those of bitsandbytes' CUDA kernels, its CPU code takes midpoints (an ulp away in four places), and
divides instead of multiplying by the reciprocal in a short last block.
"""
import pathlib
import subprocess

import bnb_reference  # first: it sets up bitsandbytes
import bitsandbytes.functional as bnb
import pytest
import torch
from conftest import GRAFT
from safetensors.torch import load_file, save_file

PROBE = pathlib.Path(GRAFT).parent / "quant_probe"
BLOCKS = [32, 64, 128, 256, 512, 1024, 2048, 4096]
SHAPES = {"even": (256, 320), "odd": (77, 93), "row": (1, 4097), "small": (3, 5)}
# Two roundings (reciprocal, product) and bounds that are an ulp apart: 4 units of 2^-24 on values of size 1.
AT_THRESHOLD = 4 * 2.0**-24


def probe(*words):
    result = subprocess.run([PROBE, *map(str, words)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def make_weights(dtype):
    torch.manual_seed(7)
    weights = {name: (torch.randn(shape) * 0.04).to(dtype) for name, shape in SHAPES.items()}
    weights["zeros"] = weights["even"].clone()
    weights["zeros"].view(-1)[:8192] = 0
    weights["coarse"] = (torch.randint(-8, 9, (128, 256)) / 8).to(dtype)  # many values near the thresholds
    return weights


def unpack(codes):
    return torch.stack([codes.view(-1) >> 4, codes.view(-1) & 15], 1).view(-1)


def scaled(weight, absmax, block):
    """What is compared with the thresholds, in float64; magnitudes for FP4 are taken by the caller."""
    maxima = absmax.double().repeat_interleave(block)[: weight.numel()]
    return weight.double().view(-1) / maxima.clamp(min=1e-38)


def midpoints(quant_type):
    code = bnb.get_4bit_type(quant_type, device="cpu").double().unique()
    return (code[1:] + code[:-1]) / 2


@pytest.mark.parametrize("quant_type", ["nf4", "fp4"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=["bf16", "fp16", "fp32"])
def test_codes_and_statistics(tmp_path, quant_type, dtype):
    weights = make_weights(dtype)
    save_file(weights, tmp_path / "in")
    total = ties = nested_total = nested_ties = 0
    for block in BLOCKS if dtype == torch.bfloat16 else [64, 2048]:
        for double in (0, 1):
            probe(tmp_path / "in", tmp_path / "out", quant_type, block, double)
            found = load_file(tmp_path / "out")
            for name, weight in weights.items():
                expected, state = bnb.quantize_4bit(weight, blocksize=block, compress_statistics=bool(double), quant_type=quant_type)
                codes, other = unpack(found[name + ".codes"]), unpack(expected)
                plain = bnb.quantize_4bit(weight, blocksize=block, quant_type=quant_type)[1].absmax
                zero = (plain <= 1e-38).repeat_interleave(block)[: weight.numel()]
                if codes.numel() > weight.numel():
                    codes, other = codes[:-1], other[:-1]  # the unused half byte
                differ = (codes != other) & ~zero  # any code of a block of zeros decodes to zero
                if quant_type == "fp4":
                    differ &= (codes & 7) + (other & 7) > 0  # 0 and -0
                x = scaled(weight, plain, block)
                distance = (x[differ, None] - midpoints(quant_type)).abs().min(1).values if differ.any() else torch.zeros(1)
                # FP4's constants have seven digits: 0.583333 is 3e-7 from the midpoint.
                assert distance.max() <= (4e-7 if quant_type == "fp4" else AT_THRESHOLD), (name, block, distance.max())
                total, ties = total + differ.numel(), ties + int(differ.sum())
                if not double:
                    # bitsandbytes clamps the maximum of a short last block of zeros; there is none here.
                    assert torch.equal(found[name + ".absmax"], state.absmax), (name, block)
                    continue
                assert found[name + ".offset"].item() == state.offset.item(), (name, block)
                assert torch.equal(found[name + ".nested_absmax"], state.state2.absmax), (name, block)
                nested = found[name + ".absmax"] != state.absmax
                nested_total, nested_ties = nested_total + nested.numel(), nested_ties + int(nested.sum())
                if nested.any():
                    check_nested_ties(plain - state.offset, state, found[name + ".absmax"], nested)
    print(f"{quant_type} {dtype}: {total} codes, {ties} differ at a threshold; {nested_total} nested codes, {nested_ties} differ at a bin's edge")
    assert ties <= 1e-3 * total


def test_the_four_thresholds_that_are_an_ulp_apart(tmp_path):
    """Every threshold and its two neighbours: the CPU rule differs from the CUDA rule at exactly four floats."""
    bounds = midpoints("nf4").float()
    values = torch.cat([bounds, bounds.nextafter(torch.tensor(2.0)), bounds.nextafter(torch.tensor(-2.0)), torch.ones(19)]).view(1, 64)
    save_file({"w": values}, tmp_path / "in")
    probe(tmp_path / "in", tmp_path / "out", "nf4", 64, 0)
    codes, expected = unpack(load_file(tmp_path / "out")["w.codes"]), unpack(bnb.quantize_4bit(values, quant_type="nf4")[0])
    differ = (codes != expected).nonzero().view(-1)
    print(f"thresholds: {len(differ)} of 45 floats get another code: {values[0, differ].tolist()}")
    assert sorted((differ % 15).tolist()) == [0, 8, 12, 14] and (codes.int() - expected.int()).abs().max() == 1


def check_nested_ties(centred, state, codes, differ):
    """bitsandbytes' CPU code finds the nearest entry in 65,536 bins: where it errs, graft's entry must be the nearer one."""
    largest = state.state2.absmax.double().repeat_interleave(256)[: centred.numel()]
    x = (centred.double() / largest.clamp(min=1e-38))[differ]
    table = state.state2.code.double()
    ours, theirs = (x - table[codes[differ].int()]).abs(), (x - table[state.absmax[differ].int()]).abs()
    real = largest[differ] > 1e-38  # one block only: its maximum is the mean, and every code decodes to it
    assert (ours <= theirs + 1e-7)[real].all(), (ours - theirs).max()


@pytest.mark.parametrize("quant_type", ["nf4", "fp4"])
@pytest.mark.parametrize("double", [False, True], ids=["plain", "double"])
def test_decoding_is_bit_equal(tmp_path, quant_type, double):
    torch.manual_seed(1)
    decoded = 0
    for block in BLOCKS:
        for rows, columns in [(64, 256), (64, 96), (33, 65), (2, 4096), (1, 4100)]:
            blocks = -(-rows * columns // block)
            parts = {"codes": torch.randint(0, 256, ((rows * columns + 1) // 2,), dtype=torch.uint8),
                     "code_map": bnb.get_4bit_type(quant_type, device="cpu"), "absmax": torch.rand(blocks) * 0.2}
            state = bnb.QuantState(absmax=parts["absmax"], shape=torch.Size([rows, columns]), code=parts["code_map"], blocksize=block,
                                   quant_type=quant_type)
            if double:
                parts |= {"absmax": torch.randint(0, 256, (blocks,), dtype=torch.uint8), "nested_absmax": torch.rand(-(-blocks // 256)) * 0.05,
                          "nested_map": bnb.create_dynamic_map(), "offset": torch.tensor([0.0731])}
                state.absmax, state.offset, state.nested = parts["absmax"], parts["offset"][0], True
                state.state2 = bnb.QuantState(absmax=parts["nested_absmax"], blocksize=256, code=parts["nested_map"], dtype=torch.float32)
            save_file(parts, tmp_path / "in")
            probe("decode", tmp_path / "in", tmp_path / "out", quant_type, block, rows, columns)
            found = load_file(tmp_path / "out")
            for dtype in (torch.float32, torch.bfloat16, torch.float16):
                state.dtype = dtype
                codes = parts["codes"].view(-1, 1)
                expected = bnb_reference.dequantize_4bit(codes, state)
                if columns % block == 0:
                    assert torch.equal(expected, bnb.dequantize_4bit(codes, state))
                bits = torch.int32 if dtype == torch.float32 else torch.int16
                ours, theirs = found[str(dtype).removeprefix("torch.")].view(bits), expected.view(bits)
                same = (ours == theirs) | ((found[str(dtype).removeprefix("torch.")] == 0) & (expected == 0))  # 0 and -0
                assert same.all(), (block, rows, columns, dtype, int((~same).sum()))
                decoded += same.numel()
    print(f"{quant_type} double={double}: {decoded} decoded weights, all bit-equal")
