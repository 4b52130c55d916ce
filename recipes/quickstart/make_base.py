#!/usr/bin/env python3
"""Makes the empty shell of the embedded base: tokenizer.json trained on the small world's text, config.json, chat template.

  make_base.py TEXT_DIR OUT_DIR   needs the `tokenizers` package (scripts/setup.sh --parity)

The weights come from graft itself: recipes/quickstart/pretrain.yaml.
"""
import json
import pathlib
import sys

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<|begin|>", "<|user|>", "<|assistant|>", "<|end|>"]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '<|assistant|>' }}{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>' + message['content'] + '<|end|>' }}"
    "{% else %}{{ raise_exception('this small model knows the roles user and assistant') }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}\n")
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 704, "hidden_size": 192, "intermediate_size": 512,
    "num_hidden_layers": 6, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 32, "hidden_act": "silu",
    "max_position_embeddings": 512, "initializer_range": 0.02, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None,
    "attention_bias": False, "mlp_bias": False, "tie_word_embeddings": True, "bos_token_id": 0, "eos_token_id": 3, "pad_token_id": 3,
    "torch_dtype": "bfloat16", "use_cache": True}


def texts(folder):
    for line in open(folder / "stories.jsonl", encoding="utf-8"):
        yield json.loads(line)["text"]
    for line in open(folder / "chats.jsonl", encoding="utf-8"):
        for message in json.loads(line)["messages"]:
            yield message["content"]


def main(text_dir, out_dir):
    out_dir.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts(text_dir), trainers.BpeTrainer(vocab_size=CONFIG["vocab_size"], special_tokens=SPECIAL,
                                                                       initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.save(str(out_dir / "tokenizer.json"))
    config = dict(CONFIG)
    (out_dir / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (out_dir / "generation_config.json").write_text(json.dumps({"bos_token_id": 0, "eos_token_id": 3, "pad_token_id": 3}, indent=2) + "\n")
    (out_dir / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": SPECIAL[0], "eos_token": SPECIAL[3], "pad_token": SPECIAL[3],
        "clean_up_tokenization_spaces": False, "model_max_length": CONFIG["max_position_embeddings"]}, indent=2) + "\n")
    (out_dir / "chat_template.jinja").write_text(TEMPLATE)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]))
