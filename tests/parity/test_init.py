"""PiSSA and LoftQ starts: the same A and B as PEFT's, its training curve, files that PEFT loads on the clean base, and a killed run's bytes.

Singular vectors have no sign of their own: products and sizes are compared. Tolerances: 1e-4 of the logits' scale (float32 sums in another order).
"""
import hashlib
import json
import math

import bnb_reference  # first: it sets up bitsandbytes
import bitsandbytes.functional as bnb
import pytest
import test_train
import torch
from conftest import graft_json, run_graft
from peft import LoraConfig, PeftModel, get_peft_model
from peft.utils.loftq_utils import _low_rank_decomposition
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

RANK, ALPHA, STEPS = 4, 8, test_train.STEPS
PREFIX = "base_model.model."


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Weights as trained ones are: a few strong directions in noise."""
    path = tmp_path_factory.mktemp("base")
    model = test_train.random_base(0.08)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("proj.weight"):
                parameter += 0.06 * torch.randn(parameter.shape[0], 3) @ torch.randn(3, parameter.shape[1])
    model.save_pretrained(path)
    return path


def load_base(base):
    return LlamaForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager").eval()


def modules(tensors):
    return sorted(name[:-len(".lora_A.weight")] for name in tensors if name.endswith(".lora_A.weight"))


def halves(tensors, module):
    """A, B and the start's A0, B0 of a converted adapter."""
    a, b = tensors[module + ".lora_A.weight"], tensors[module + ".lora_B.weight"]
    r = a.shape[0] // 2
    return a[:r], b[:, :r], a[r:], -b[:, r:]


@torch.no_grad()
def logits(model, ids=tuple(range(3, 60))):
    return model(torch.tensor([list(ids)])).logits[0].float()


def graft_logits(model, adapter, folder):
    (folder / "in.jsonl").write_text(json.dumps({"tokens": list(range(3, 60))}) + "\n")
    run_graft("score", "--model", model, "--adapter", adapter, "--input", folder / "in.jsonl", "--output", folder / "out.safetensors", "--logits", "--device", "cpu")
    return load_file(folder / "out.safetensors")["logits.0"]


def require_close(found, expected, tolerance=1e-4):
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


VARIANTS = {
    "plain": ([], {}),
    "rslora": (["adapter.scaling=rslora"], dict(use_rslora=True)),
    "patterns": (['adapter.overrides=[{match: down_proj, rank: 6, alpha: 20}]'], dict(rank_pattern={"down_proj": 6}, alpha_pattern={"down_proj": 20})),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_pissa_starts_as_pefts_and_trains_as_pefts(base, tmp_path, monkeypatch, variant):
    overrides, options = VARIANTS[variant]
    samples = test_train.make_samples(8 * STEPS, 1)
    rows, first, weights = test_train.train(base, tmp_path / "run", samples, "adapter.init=pissa", *overrides)
    config = LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules="all-linear", init_lora_weights="pissa", **options)
    peer = get_peft_model(load_base(base), config)
    ours = load_file(first / "adapter_model.safetensors")
    assert len(modules(ours)) == 21
    for module in modules(ours):
        a, b, a0, b0 = halves(ours, module)
        assert torch.equal(a, a0) and torch.equal(b, b0)
        layer = peer.get_submodule(module)
        theirs_a, theirs_b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        require_close(b @ a, (theirs_b @ theirs_a).detach())
        require_close(a.abs(), theirs_a.detach().abs(), 1e-3)  # vectors of near singular values: less well determined than their product
        require_close(b.abs(), theirs_b.detach().abs(), 1e-3)

    # At the start the model is the base: its first loss is the one of an adapter that starts at zero.
    plain, *_ = test_train.train(base, tmp_path / "plain", samples, *overrides)
    assert rows[0]["loss"] == pytest.approx(plain[0]["loss"], rel=1e-6) and rows[0]["grad_norm"] != pytest.approx(plain[0]["grad_norm"], rel=0.1)

    # The signs do not matter to the curve: AdamW treats every number alike. Curve within 1e-3, as the start is known to 1e-4 only.
    monkeypatch.setattr(test_train, "PeftModel", type("P", (), {"from_pretrained": staticmethod(lambda model, _, is_trainable: get_peft_model(model, config))}))
    expected, expected_weights = test_train.reference_curve(base, first, test_train.in_file_order(samples))
    worst = max(abs(row["loss"] / e["loss"] - 1) for row, e in zip(rows, expected))
    apart = max(abs(row["loss"] / e["loss"] - 1) for row, e in zip(plain, expected))
    print(f"{variant}: worst loss difference {worst:.1e}; a default start is {apart:.1e} away")
    assert worst <= 1e-3 < 10e-3 < apart

    # PEFT loads what was saved on the clean base, and gets what its own model, changed base and all, was trained to.
    model = PeftModel.from_pretrained(load_base(base), tmp_path / "run/run/adapter").eval()
    found = logits(model)
    for module in modules(weights):  # the trained peer: its own start taken out of a clean base, and its trained A and B
        layer = peer.get_submodule(module)
        layer.lora_A["default"].weight.data = expected_weights[module + ".lora_A.weight"]
        layer.lora_B["default"].weight.data = expected_weights[module + ".lora_B.weight"]
    require_close(found, logits(peer.eval()), 1e-2)  # thirty steps apart by 1e-3 in the loss
    require_close(graft_logits(base, tmp_path / "run/run/adapter", tmp_path), found)
    assert (found - logits(load_base(base))).abs().max() > 0.1 * found.abs().max(), "nothing was trained"


def test_files_give_what_was_trained_and_consumers_take_them(base, tmp_path):
    """The live model's own evaluation at the end equals the clean base's with the saved adapter, in PEFT and merged."""
    samples = test_train.make_samples(8 * STEPS, 1)
    (tmp_path / "eval.jsonl").write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids, _ in samples[:6]))
    rows, *_ = test_train.train(base, tmp_path / "run", samples, "adapter.init=pissa", f"data.eval=[{{path: {tmp_path / 'eval.jsonl'}, format: tokens}}]",
                                f"eval.every={STEPS} steps", "eval.at_start=true", "export=[{format: peft, check: [peft, vllm]}]")
    live = [row["eval_loss"] for row in rows if "eval_loss" in row]
    adapter = tmp_path / "run/run/adapter"

    def loss(*options):
        return graft_json("eval", *options, "--data", tmp_path / "eval.jsonl", "--format", "tokens", "--device", "cpu", "--dtype", "float32")["loss"]
    # Means of a few hundred float32 losses.
    assert live[0] == pytest.approx(loss("--model", base), rel=1e-6)
    assert live[-1] == pytest.approx(loss("--model", base, "--adapter", adapter), rel=1e-5) and live[-1] != pytest.approx(live[0], rel=1e-2)
    config = json.loads((adapter / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["init_lora_weights"]) == (2 * RANK, 2 * ALPHA, True)
    run_graft("adapter", "check", adapter, "--for", "peft,vllm,llama.cpp", "--model", base)
    run_graft("merge", "--model", base, "--adapter", adapter, "--output", tmp_path / "merged")
    assert loss("--model", tmp_path / "merged") == pytest.approx(live[-1], rel=1e-5)
    expected = logits(PeftModel.from_pretrained(load_base(base), adapter).merge_and_unload())
    require_close(logits(load_base(tmp_path / "merged")), expected)


def nf4(weight, double=False):
    codes, state = bnb.quantize_4bit(weight.contiguous(), blocksize=64, compress_statistics=double, quant_type="nf4")
    return bnb_reference.dequantize_4bit(codes, state)


def test_quantized_starts_lose_less(base, tmp_path):
    samples = test_train.make_samples(8 * STEPS, 1)
    quant = ["quant.type=nf4", "quant.double=false", "train.steps=2"]
    clean, scale = load_file(base / "model.safetensors"), ALPHA / RANK
    rows, starts, peers = {}, {}, {name: load_base(base) for name in ("dense", "nf4", "pissa", "loftq")}
    for name in ("pissa", "loftq"):
        rows[name], first, _ = train_short(base, tmp_path / name, samples, f"adapter.init={name}", *quant)
        starts[name] = load_file(first / "adapter_model.safetensors")
    for module in modules(starts["loftq"]):
        weight = clean[module[len(PREFIX):] + ".weight"]
        # PEFT's own round, on the CPU (its loftq_init insists on a GPU): W - Q decomposed; the scale, which it leaves out, is in ours.
        peer = _low_rank_decomposition(weight - nf4(weight), reduced_rank=RANK)
        a, b = starts["loftq"][module + ".lora_A.weight"], starts["loftq"][module + ".lora_B.weight"]
        require_close(scale * (b @ a), peer["L"] @ peer["R"])
        *_, a0, b0 = halves(starts["pissa"], module)
        stands_for = {"nf4": nf4(weight), "loftq": nf4(weight) + scale * (b @ a), "pissa": nf4(weight - scale * (b0 @ a0)) + scale * (b0 @ a0)}
        lost = {name: (weight - found).norm().item() for name, found in stands_for.items()}
        print(module, {name: round(value, 4) for name, value in lost.items()})
        assert lost["loftq"] == pytest.approx((weight - nf4(weight) - peer["L"] @ peer["R"]).norm().item(), rel=1e-5)
        assert max(lost["loftq"], lost["pissa"]) < 0.98 * lost["nf4"]
        for name, found in stands_for.items():
            peers[name].get_submodule(module[len(PREFIX):]).weight.data = found
    # Graft's live model is Q + s·B·A: its first loss. And that is nearer to the dense model than NF4 alone.
    apart = {name: (logits(model) - logits(peers["dense"])).norm().item() for name, model in peers.items()}
    print("logits apart from the dense model's:", apart)
    for name in ("pissa", "loftq"):
        assert rows[name][0]["loss"] == pytest.approx(first_loss(peers[name], samples), rel=1e-5)
        assert apart[name] < apart["nf4"]


@torch.no_grad()
def first_loss(model, samples):
    total = tokens = 0
    for ids, labels in samples[:8]:
        out = model(torch.tensor([ids])).logits[0, :-1].float()
        total += torch.nn.functional.cross_entropy(out, torch.tensor(labels[1:]), ignore_index=-100, reduction="sum").item()
        tokens += sum(label != -100 for label in labels[1:])
    return total / tokens


def train_short(*arguments):
    """test_train.train sets a warm-up of three steps; these runs end before."""
    return test_train.train(*arguments, "train.schedule.warmup=0 steps")


def test_a_loftq_adapter_belongs_to_the_quantized_base(base, tmp_path):
    """As any adapter trained on it: no conversion, the same logits in PEFT + bitsandbytes' decoded weights."""
    samples = test_train.make_samples(8 * STEPS, 1)
    test_train.train(base, tmp_path / "run", samples, "adapter.init=loftq", "quant.type=nf4")
    adapter = tmp_path / "run/run/adapter"
    assert json.loads((adapter / "adapter_config.json").read_text())["r"] == RANK
    run_graft("quantize", "--model", base, "--output", tmp_path / "nf4", "--type", "nf4", "--double")
    peer = load_base(base)
    with torch.no_grad():
        for name, parameter in peer.named_parameters():
            if name.endswith("proj.weight"):
                parameter.copy_(nf4(parameter.data, double=True))
    expected = logits(PeftModel.from_pretrained(peer, adapter).eval())
    require_close(graft_logits(tmp_path / "nf4", adapter, tmp_path), expected)


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("overrides", [["adapter.init=pissa"], ["adapter.init=pissa", "quant.type=nf4", "model.dtype=bf16"], ["adapter.init=loftq", "quant.type=nf4"]],
                         ids=["pissa", "qpissa", "loftq"])
def test_a_killed_run_ends_with_the_same_bytes(base, tmp_path, overrides):
    samples = test_train.make_samples(8 * STEPS, 3)
    options = [*overrides, "adapter.dropout=0.1", "checkpoint.every=4 steps"]
    whole, run = test_train.whole_and_killed(base, tmp_path, samples, options)
    assert sha(run / "adapter/adapter_model.safetensors") == sha(whole / "adapter/adapter_model.safetensors")
    loss = [[json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in (run, whole)]
    assert loss[0] == loss[1] and len(loss[0]) == STEPS and all(map(math.isfinite, loss[0]))


@pytest.mark.parametrize("overrides, text", [
    (["adapter.init=loftq"], "nothing is quantized"), (["adapter.init=pissa", "adapter.rank=100"], "rank 100"),
    (["adapter.init=olora"], "olora"), (["adapter.init=pissa", "model.path={nf4}"], "before quantization")])
def test_starts_that_cannot_be_are_78(base, tmp_path, overrides, text):
    run_graft("quantize", "--model", base, "--output", tmp_path / "nf4", "--type", "nf4")
    samples = test_train.make_samples(8, 3)
    (tmp_path / "run").mkdir()
    with pytest.raises(AssertionError) as failure:
        test_train.train(base, tmp_path / "run", samples, *[item.replace("{nf4}", str(tmp_path / "nf4")) for item in overrides])
    assert "ended with 78" in str(failure.value) and text in str(failure.value), failure.value
