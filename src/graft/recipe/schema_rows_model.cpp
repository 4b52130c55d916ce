#include "graft/recipe/schema_rows.h"

namespace graft::recipe {

std::vector<Key> rows_of_the_model() {
  return {
      Key("schema", Kind::kInteger, at<&Recipe::schema>, "Version of the recipe language; this graft reads 1.").range(1, 1).needed("1"),
      Key("extends", Kind::kText, nullptr,
          "A recipe to build on: a file relative to this one, or a shipped name. Maps merge, lists replace.")
          .nullable(),
      Key("name", Kind::kPath, at<&Recipe::name>, "Name of the run in logs. Default: the file's name without extension.")
          .nullable()
          .outside_identity(),
      Key("task", Kind::kChoice, at<&Recipe::task>,
          "What is learned: answers in conversations (sft) or every token of plain text (pretrain).")
          .one_of({"sft", "pretrain"})
          .not_yet({"dpo", "orpo", "kto", "simpo"}),
      Key("seed", Kind::kInteger, at<&Recipe::seed>, "Drives initialisation, dropout, shuffling and splits, one random stream per purpose.")
          .range(0),
      Key("output_dir", Kind::kPath, at<&Recipe::output_dir>,
          "Run directory, relative to the working directory. New, empty, or holding the same run.")
          .needed("runs/example")
          .outside_identity()
          .also({"out_dir"}),

      Key("model", Kind::kSection, nullptr, "The frozen base."),
      Key("model.path", Kind::kPath, at<&Recipe::model, &ModelSection::path>,
          "Hugging Face directory: config.json, *.safetensors, tokenizer.json.")
          .needed("models/Llama-3.2-1B")
          .also({"base_model", "checkpoint_dir", "model_name_or_path", "model_id"}),
      Key("model.family", Kind::kChoice, at<&Recipe::model, &ModelSection::family>, "Architecture; auto reads model_type in config.json.")
          .one_of({"auto", "llama", "mistral", "qwen2", "qwen3"})
          .not_yet({"gemma2", "phi3"})
          .also({"model_type"}),
      Key("model.dtype", Kind::kChoice, at<&Recipe::model, &ModelSection::dtype>, "Number format of the base and of the arithmetic.")
          .one_of({"bf16", "fp16", "fp32"})
          .spelled({{"bfloat16", "bf16"}, {"float16", "fp16"}, {"float32", "fp32"}})
          .also({"precision", "torch_dtype"}),
      Key("model.attention", Kind::kChoice, at<&Recipe::model, &ModelSection::attention>,
          "Attention kernel; auto takes the fastest that fits.")
          .one_of({"auto", "sdpa"})
          .not_yet({"flash", "math"})
          .also({"attn_implementation"}),
      Key("model.init", Kind::kChoice, at<&Recipe::model, &ModelSection::init>,
          "Weights: pretrained from *.safetensors, or random from config.json alone (to train from scratch).")
          .one_of({"pretrained", "random"}),
      Key("model.max_length", Kind::kCount, at<&Recipe::model, &ModelSection::max_length>,
          "Longest row in tokens; longer samples follow data.on_overflow. null: what the model's positions allow, 2048 at most.")
          .nullable()
          .range(2)
          .also({"sequence_len", "cutoff_len", "max_seq_length", "max_seq_len"}),

      Key("quant", Kind::kSection, nullptr, "Low-bit storage of the frozen base; leave the section out for plain LoRA."),
      Key("quant.type", Kind::kChoice, at<&Recipe::quant, &QuantSection::type>,
          "Storage format of the base's linear layers: nf4 (least memory, bf16's speed), fp4, or fp8 (half of bf16's memory, and faster on "
          "GPUs with FP8 units: compute capability 8.9 and later).")
          .one_of({"none", "nf4", "fp4", "fp8"})
          .not_yet({"int8"})
          .also({"load_in_4bit", "load_in_8bit", "quantize"}),
      Key("quant.double", Kind::kBool, at<&Recipe::quant, &QuantSection::double_quant>,
          "Quantize the block scales too: saves 0.37 bit per weight.")
          .also({"bnb_4bit_use_double_quant", "double_quant"}),
      Key("quant.block", Kind::kInteger, at<&Recipe::quant, &QuantSection::block>, "Weights that share one scale: a power of two.")
          .range(32, 4096)
          .also({"block_size"}),
      Key("quant.skip", Kind::kTextList, at<&Recipe::quant, &QuantSection::skip>,
          "Modules kept in model.dtype: leaf names or globs. The output head, embeddings and norms always are."),
      Key("quant.cache", Kind::kPath, at<&Recipe::quant, &QuantSection::cache>,
          "Where the 4-bit weights of an unquantized base are kept for the next start, which then reads those alone: auto "
          "(~/.cache/graft/quantized), none or a directory. The weights are the same bits either way.")
          .outside_identity(),

      Key("adapter", Kind::kSection, nullptr, "What is trained."),
      Key("adapter.type", Kind::kChoice, at<&Recipe::adapter, &AdapterSection::type>,
          "lora: low-rank matrices beside frozen weights; full: every weight, no adapter.")
          .one_of({"lora", "full"})
          .not_yet({"dora"}),
      Key("adapter.rank", Kind::kInteger, at<&Recipe::adapter, &AdapterSection::rank>,
          "Rows of A and columns of B; trainable parameters grow with it.")
          .range(1, 4096)
          .also({"lora_r", "lora_rank", "r"}),
      Key("adapter.alpha", Kind::kNumber, at<&Recipe::adapter, &AdapterSection::alpha>,
          "The update is scaled by alpha / rank. null: twice the rank.")
          .nullable()
          .above(0)
          .also({"lora_alpha"}),
      Key("adapter.scaling", Kind::kChoice, at<&Recipe::adapter, &AdapterSection::scaling>,
          "standard: alpha / rank; rslora: alpha / sqrt(rank), which keeps the update's size when the rank is large.")
          .one_of({"standard", "rslora"})
          .also({"use_rslora"}),
      Key("adapter.dropout", Kind::kNumber, at<&Recipe::adapter, &AdapterSection::dropout>,
          "Probability of dropping an input of A; above 0 is slower.")
          .range(0)
          .below(1)
          .also({"lora_dropout"}),
      Key("adapter.target", Kind::kTextList, at<&Recipe::adapter, &AdapterSection::target>,
          "Which Linear modules: all-linear, attention, mlp, or a list of leaf names (q_proj), globs (*.mlp.*) and regex:….")
          .or_word()
          .also({"target_modules", "lora_target", "lora_target_modules", "lora_target_linear"}),
      Key("adapter.exclude", Kind::kTextList, at<&Recipe::adapter, &AdapterSection::exclude>,
          "Modules taken out of target again; same notation.")
          .or_word()
          .also({"exclude_modules"}),
      Key("adapter.layers", Kind::kIntegerList, at<&Recipe::adapter, &AdapterSection::layers>,
          "Indices of the layers that get adapters, from 0. null: all.")
          .nullable()
          .range(0, 100000)
          .also({"layers_to_transform"}),
      Key("adapter.overrides", Kind::kItems, at<&Recipe::adapter, &AdapterSection::overrides>,
          "Other ranks or alphas for some modules; the first match wins."),
      Key("adapter.overrides[].match", Kind::kText, at<&AdapterOverride::match>, "Leaf name, glob over the full name, or regex:….")
          .needed("\"*.down_proj\""),
      Key("adapter.overrides[].rank", Kind::kInteger, at<&AdapterOverride::rank>, "Rank there. null: adapter.rank.")
          .nullable()
          .range(1, 4096),
      Key("adapter.overrides[].alpha", Kind::kNumber, at<&AdapterOverride::alpha>, "Alpha there. null: adapter.alpha.").nullable().above(0),
      Key("adapter.modules_to_save", Kind::kTextList, at<&Recipe::adapter, &AdapterSection::modules_to_save>,
          "Modules trained in full and stored with the adapter. vLLM and llama.cpp refuse such adapters."),
      Key("adapter.bias", Kind::kChoice, at<&Recipe::adapter, &AdapterSection::bias>,
          "Biases trained as well: none, all, or those of adapted modules.")
          .one_of({"none", "all", "lora_only"}),
      Key("adapter.init", Kind::kChoice, at<&Recipe::adapter, &AdapterSection::init>,
          "Start of A and B. default, gaussian: A Kaiming uniform or of width 1 / rank, B zero. pissa: the base's principal directions, "
          "taken out of it before it is quantized; saved as a LoRA of twice the rank for the original base. loftq: what quant lost.")
          .one_of({"default", "gaussian", "pissa", "loftq"})
          .not_yet({"olora", "orthogonal", "eva", "corda"})
          .also({"init_lora_weights"}),
      Key("adapter.dtype", Kind::kChoice, at<&Recipe::adapter, &AdapterSection::dtype>,
          "Number format in which A and B are kept and updated.")
          .one_of({"fp32", "bf16", "fp16"})
          .spelled({{"bfloat16", "bf16"}, {"float16", "fp16"}, {"float32", "fp32"}}),
      Key("adapter.init_from", Kind::kPath, at<&Recipe::adapter, &AdapterSection::init_from>,
          "PEFT adapter directory to start from; rank, alpha, target and the like come from it.")
          .nullable()
          .also({"lora_model_dir", "adapter_name_or_path", "adapter_checkpoint"}),
  };
}

}  // namespace graft::recipe
