// The table itself: one row per key. To add a key, add its field to recipe.h and one row here; to switch on a value that a later version
// was waiting for, move it from not_yet() to one_of().
#include "graft/recipe/schema.h"

namespace graft::recipe {
namespace {

template <typename Owner, typename Member>
Owner owner_of(Member Owner::*);

/// The field behind a chain of member pointers: at<&Recipe::adapter, &AdapterSection::rank>.
template <auto kFirst, auto... kRest>
Field at(void* owner) {
  auto& object = *static_cast<decltype(owner_of(kFirst))*>(owner);
  if constexpr (sizeof...(kRest) == 0) {
    return &(object.*kFirst);
  } else {
    return at<kRest...>(&(object.*kFirst));
  }
}

std::vector<Key> sections_of_the_run() {
  return {
      Key("schema", Kind::kInteger, at<&Recipe::schema>, "Version of the recipe language; this graft reads 1.").range(1, 1).needed("1"),
      Key("extends", Kind::kText, nullptr,
          "A recipe to build on: a file relative to this one, or a shipped name. Maps merge, lists replace.")
          .nullable(),
      Key("name", Kind::kPath, at<&Recipe::name>,
          "Name of the run in logs and the adapter card. Default: the file's name without extension.")
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
  };
}

std::vector<Key> sections_of_the_model() {
  return {
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
      Key("quant.type", Kind::kChoice, at<&Recipe::quant, &QuantSection::type>, "Storage format of the base's linear layers.")
          .one_of({"none"})
          .not_yet({"nf4", "fp4", "fp8", "int8"})
          .also({"load_in_4bit", "load_in_8bit", "quantize"}),
      Key("quant.double", Kind::kBool, at<&Recipe::quant, &QuantSection::double_quant>,
          "Quantize the block scales too: saves 0.37 bit per weight.")
          .also({"bnb_4bit_use_double_quant", "double_quant"}),
      Key("quant.block", Kind::kInteger, at<&Recipe::quant, &QuantSection::block>, "Weights that share one scale.")
          .range(16, 4096)
          .also({"block_size"}),
      Key("quant.skip", Kind::kTextList, at<&Recipe::quant, &QuantSection::skip>, "Modules kept in model.dtype: leaf names or globs."),
      Key("quant.cache", Kind::kPath, at<&Recipe::quant, &QuantSection::cache>,
          "Keeps the packed weights so that the second start takes seconds: auto, none or a directory.")
          .outside_identity(),
  };
}

std::vector<Key> sections_of_the_adapter() {
  return {
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
          "Start of A (B is zero): Kaiming uniform (default) or gaussian of width 1 / rank.")
          .one_of({"default", "gaussian"})
          .not_yet({"pissa", "olora", "orthogonal", "loftq", "eva", "corda"})
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

std::vector<Key> sections_of_the_data() {
  return {
      Key("data", Kind::kSection, nullptr, "What it is trained on."),
      Key("data.train", Kind::kItems, at<&Recipe::data, &DataSection::train>, "The training sources, mixed by weight.")
          .needed("")
          .also({"datasets", "dataset"}),
      Key("data.train[].path", Kind::kPath, at<&DataSource::path>, "File or glob: .jsonl (one object a line) or .json (one array).")
          .needed("data/train.jsonl"),
      Key("data.train[].format", Kind::kChoice, at<&DataSource::format>, "How a line is read.")
          .one_of({"messages", "sharegpt", "alpaca", "prompt_completion", "text", "tokens"})
          .not_yet({"preference"}),
      Key("data.train[].weight", Kind::kNumber, at<&DataSource::weight>,
          "Expected passes over this source per epoch: 0.5 takes half of it, 2 takes it twice.")
          .above(0, 1000),
      Key("data.train[].limit", Kind::kCount, at<&DataSource::limit>, "Only the first N samples. null: all.")
          .nullable()
          .range(1)
          .also({"max_samples"}),
      Key("data.eval", Kind::kItems, at<&Recipe::data, &DataSection::eval, &EvalData::sources>,
          "What is evaluated on: null (nothing), a share of the training samples, or a list like train.")
          .nullable()
          .like("data.train"),
      Key("data.eval.split", Kind::kNumber, at<&Recipe::data, &DataSection::eval, &EvalData::split>,
          "Share of the training samples kept back, by seed, before packing.")
          .nullable()
          .above(0)
          .below(1)
          .other_form()
          .also({"val_set_size", "val_size"}),
      Key("data.template", Kind::kTemplate, at<&Recipe::data, &DataSection::template_source>,
          "Chat template: model (the model directory's), chatml, or file:PATH. Stored with the adapter.")
          .also({"chat_template", "prompt_style"}),
      Key("data.template_date", Kind::kDate, at<&Recipe::data, &DataSection::template_date>,
          "The day that a template's strftime_now sees, YYYY-MM-DD. null: the day of the first start.")
          .nullable(),
      Key("data.train_on", Kind::kChoice, at<&Recipe::data, &DataSection::train_on>,
          "Which turns carry loss: assistant, last-assistant, all, or {roles: [...]}; their end-of-turn token is trained too.")
          .one_of({"assistant", "last-assistant", "all"})
          .also({"train_on_inputs", "roles_to_train", "mask_prompt"}),
      Key("data.train_on.roles", Kind::kTextList, at<&Recipe::data, &DataSection::train_on_roles>, "The roles whose turns carry loss.")
          .other_form(),
      Key("data.on_overflow", Kind::kChoice, at<&Recipe::data, &DataSection::on_overflow>,
          "A sample longer than model.max_length: leave it out, cut its end, or stop.")
          .one_of({"drop", "truncate-right", "error"}),
      Key("data.on_bad_sample", Kind::kChoice, at<&Recipe::data, &DataSection::on_bad_sample>,
          "A malformed sample: stop with its line, or skip and count it.")
          .one_of({"error", "skip"}),
      Key("data.packing", Kind::kChoice, at<&Recipe::data, &DataSection::packing>,
          "isolated: several samples a row, no attention between them; none: one sample a row, padded.")
          .one_of({"isolated", "none"})
          .also({"sample_packing", "packed"}),
      Key("data.shuffle", Kind::kBool, at<&Recipe::data, &DataSection::shuffle>,
          "A new order each epoch, by seed; false keeps the files' order."),
      Key("data.workers", Kind::kInteger, at<&Recipe::data, &DataSection::workers>,
          "Threads that tokenise. The result does not depend on it.")
          .range(1, 1024)
          .outside_identity()
          .also({"num_workers", "preprocessing_num_workers"}),
      Key("data.cache", Kind::kPath, at<&Recipe::data, &DataSection::cache>,
          "Where tokenised samples are kept for the next start: auto, none or a directory.")
          .outside_identity()
          .also({"dataset_prepared_path"}),

      Key("batch", Kind::kSection, nullptr, "How much one optimizer step sees; gradient accumulation follows from it."),
      Key("batch.sequences_per_step", Kind::kCount, at<&Recipe::batch, &BatchSection::sequences_per_step>,
          "Rows of one optimizer step, summed over all ranks: samples, or packed rows. null: 16, unless tokens_per_step is given.")
          .nullable()
          .range(1, 1e9)
          .also({"global_batch_size", "batch_size", "gradient_accumulation_steps"}),
      Key("batch.tokens_per_step", Kind::kCount, at<&Recipe::batch, &BatchSection::tokens_per_step>,
          "Tokens of one optimizer step, instead of sequences_per_step.")
          .nullable()
          .range(1, 1e12),
      Key("batch.micro_sequences", Kind::kInteger, at<&Recipe::batch, &BatchSection::micro_sequences>,
          "Rows that go through the model at once on one device: more is faster and takes more memory; the result is the same.")
          .range(1, 1e6)
          .also({"micro_batch_size", "per_device_train_batch_size"}),
  };
}

std::vector<Key> sections_of_the_training() {
  return {
      Key("train", Kind::kSection, nullptr, "How long and how; exactly one of steps, epochs and tokens."),
      Key("train.steps", Kind::kCount, at<&Recipe::train, &TrainSection::steps>, "Optimizer steps.")
          .nullable()
          .range(1, 1e12)
          .also({"max_steps"}),
      Key("train.epochs", Kind::kNumber, at<&Recipe::train, &TrainSection::epochs>, "Passes over the data; may be fractional.")
          .nullable()
          .above(0, 1e6)
          .also({"num_epochs", "num_train_epochs"}),
      Key("train.tokens", Kind::kCount, at<&Recipe::train, &TrainSection::tokens>, "Tokens seen in all, such as 50M.")
          .nullable()
          .range(1)
          .also({"max_tokens"}),
      Key("train.optimizer", Kind::kSection, nullptr, "The update rule."),
      Key("train.optimizer.type", Kind::kChoice, at<&Recipe::train, &TrainSection::optimizer, &OptimizerSection::type>,
          "Adam with decoupled weight decay.")
          .one_of({"adamw"})
          .not_yet({"sgd", "adafactor", "lion", "muon"}),
      Key("train.optimizer.lr", Kind::kNumber, at<&Recipe::train, &TrainSection::optimizer, &OptimizerSection::lr>, "Peak learning rate.")
          .above(0, 1000)
          .also({"learning_rate"}),
      Key("train.optimizer.betas", Kind::kNumberList, at<&Recipe::train, &TrainSection::optimizer, &OptimizerSection::betas>,
          "Decay of the running mean and of the running square.")
          .range(0)
          .below(1),
      Key("train.optimizer.eps", Kind::kNumber, at<&Recipe::train, &TrainSection::optimizer, &OptimizerSection::eps>,
          "Added to the denominator.")
          .above(0, 1),
      Key("train.optimizer.weight_decay", Kind::kNumber, at<&Recipe::train, &TrainSection::optimizer, &OptimizerSection::weight_decay>,
          "Share of a weight taken off per step, times the learning rate.")
          .range(0, 1000)
          .also({"weight_decay"}),
      Key("train.optimizer.state", Kind::kChoice, at<&Recipe::train, &TrainSection::optimizer, &OptimizerSection::state>,
          "Number format of the running averages.")
          .one_of({"fp32"})
          .not_yet({"int8", "paged-int8"}),
      Key("train.schedule", Kind::kSection, nullptr, "The learning rate over the run."),
      Key("train.schedule.type", Kind::kChoice, at<&Recipe::train, &TrainSection::schedule, &ScheduleSection::type>,
          "Curve after the warm-up.")
          .one_of({"constant", "linear", "cosine", "wsd"})
          .also({"lr_scheduler", "lr_scheduler_type"}),
      Key("train.schedule.warmup", Kind::kFrequency, at<&Recipe::train, &TrainSection::schedule, &ScheduleSection::warmup>,
          "Linear rise at the start: 3%, 200 steps or 1 epoch.")
          .also({"warmup_ratio", "warmup_steps", "num_warmup_steps", "lr_warmup_steps"}),
      Key("train.schedule.min_lr", Kind::kShare, at<&Recipe::train, &TrainSection::schedule, &ScheduleSection::min_lr>,
          "Where linear, cosine and wsd end: 10% of the peak, or a rate.")
          .range(0),
      Key("train.schedule.decay", Kind::kFrequency, at<&Recipe::train, &TrainSection::schedule, &ScheduleSection::decay>,
          "wsd: length of the final descent."),
      Key("train.clip_grad_norm", Kind::kNumber, at<&Recipe::train, &TrainSection::clip_grad_norm>,
          "Longest gradient (2-norm over everything trained). null: not clipped.")
          .nullable()
          .above(0)
          .also({"max_grad_norm", "clip_grad"}),
      Key("train.stop_when", Kind::kSection, nullptr, "Early stopping; on when patience is set. Needs data.eval.").nullable(),
      Key("train.stop_when.metric", Kind::kChoice, at<&Recipe::train, &TrainSection::stop_when, &StopWhenSection::metric>,
          "What must improve.")
          .one_of({"eval/loss", "eval/accuracy"})
          .spelled({{"eval_loss", "eval/loss"}, {"eval_accuracy", "eval/accuracy"}}),
      Key("train.stop_when.patience", Kind::kInteger, at<&Recipe::train, &TrainSection::stop_when, &StopWhenSection::patience>,
          "Evaluations without improvement before the run ends. null: never.")
          .nullable()
          .range(1, 1e9)
          .also({"early_stopping_patience", "early_stopping_steps"}),
      Key("train.stop_when.min_delta", Kind::kNumber, at<&Recipe::train, &TrainSection::stop_when, &StopWhenSection::min_delta>,
          "Smallest change that counts as improvement.")
          .range(0),
  };
}

std::vector<Key> sections_of_the_machine() {
  return {
      Key("memory", Kind::kSection, nullptr, "Memory against time."),
      Key("memory.checkpointing", Kind::kChoice, at<&Recipe::memory, &MemorySection::checkpointing>,
          "Activations recomputed in backward: none (fastest), full (least memory), or {every: N} for each N-th layer.")
          .one_of({"none", "full"})
          .not_yet({"selective"})
          .also({"gradient_checkpointing", "enable_activation_checkpointing", "activation_checkpointing"}),
      Key("memory.checkpointing.every", Kind::kInteger, at<&Recipe::memory, &MemorySection::checkpointing_every>,
          "Recompute each N-th layer.")
          .range(1, 100000)
          .other_form(),
      Key("memory.offload_activations", Kind::kBool, at<&Recipe::memory, &MemorySection::offload_activations>,
          "Keep activations in host memory.")
          .not_yet({"true"}),
      Key("memory.loss_chunk", Kind::kCount, at<&Recipe::memory, &MemorySection::loss_chunk>,
          "Tokens per piece of the output head; the whole logits tensor is never built.")
          .nullable("auto")
          .range(1, 1e9),
      Key("memory.budget", Kind::kBytes, at<&Recipe::memory, &MemorySection::budget>,
          "Most device memory, such as 22GiB; plan and train stop when the estimate is above it.")
          .nullable("auto")
          .range(1),

      Key("runtime", Kind::kSection, nullptr, "Where it runs."),
      Key("runtime.device", Kind::kDevice, at<&Recipe::runtime, &RuntimeSection::device>, "auto takes the first GPU, else the CPU.")
          .outside_identity(),
      Key("runtime.ranks", Kind::kInteger, at<&Recipe::runtime, &RuntimeSection::ranks>, "Processes on this node.")
          .nullable("auto")
          .range(1, 1024)
          .outside_identity()
          .also({"devices", "nproc_per_node", "num_processes"}),
      Key("runtime.strategy", Kind::kChoice, at<&Recipe::runtime, &RuntimeSection::strategy>, "How ranks share the work.")
          .one_of({"auto", "single"})
          .not_yet({"ddp", "fsdp"}),
      Key("runtime.rendezvous", Kind::kChoice, at<&Recipe::runtime, &RuntimeSection::rendezvous>, "How ranks find each other.")
          .one_of({"auto"})
          .not_yet({"slurm", "env", "local"}),
      Key("runtime.threads", Kind::kInteger, at<&Recipe::runtime, &RuntimeSection::threads>, "CPU threads of the arithmetic.")
          .nullable("auto")
          .range(1, 4096),
      Key("runtime.deterministic", Kind::kBool, at<&Recipe::runtime, &RuntimeSection::deterministic>,
          "true: fixed kernels, the same bits on every run on one kind of machine; may be slower.")
          .also({"full_determinism", "cudnn_deterministic_mode"}),
      Key("runtime.compile", Kind::kChoice, at<&Recipe::runtime, &RuntimeSection::compile>, "Graph capture.")
          .one_of({"none"})
          .not_yet({"blocks", "full"}),
  };
}

std::vector<Key> sections_of_the_records() {
  return {
      Key("eval", Kind::kSection, nullptr, "Evaluation during the run; off when data.eval is null."),
      Key("eval.every", Kind::kFrequency, at<&Recipe::eval, &EvalSection::every>, "200 steps, 10% or 1 epoch; also after the last step.")
          .above(0)
          .also({"eval_steps", "evals_per_epoch"}),
      Key("eval.max_batches", Kind::kInteger, at<&Recipe::eval, &EvalSection::max_batches>,
          "At most this many micro-batches each time. null: all.")
          .nullable()
          .range(1, 1e9),
      Key("eval.at_start", Kind::kBool, at<&Recipe::eval, &EvalSection::at_start>, "Evaluate once before step 1: what the base can do."),
      Key("eval.sample_prompts", Kind::kPath, at<&Recipe::eval, &EvalSection::sample_prompts>,
          "Text file with one prompt a line, answered at each evaluation. null: none.")
          .nullable(),

      Key("checkpoint", Kind::kSection, nullptr, "Saved states to continue from."),
      Key("checkpoint.every", Kind::kFrequency, at<&Recipe::checkpoint, &CheckpointSection::every>,
          "500 steps, 10% or 1 epoch; also after the last step.")
          .above(0)
          .outside_identity()
          .also({"save_steps", "save_interval", "saves_per_epoch"}),
      Key("checkpoint.keep", Kind::kInteger, at<&Recipe::checkpoint, &CheckpointSection::keep>,
          "Newest checkpoints kept; the best by evaluation is kept besides.")
          .range(1, 1e6)
          .outside_identity()
          .also({"save_total_limit"}),
      Key("checkpoint.on_signal", Kind::kTextList, at<&Recipe::checkpoint, &CheckpointSection::on_signal>,
          "Signals that save after the running step and end with exit code 75.")
          .one_of({"INT", "TERM", "USR1", "USR2"})
          .outside_identity(),
      Key("checkpoint.test_first", Kind::kBool, at<&Recipe::checkpoint, &CheckpointSection::test_first>,
          "Write and read back a checkpoint before step 1, so that a full disk is found then.")
          .outside_identity(),
      Key("checkpoint.resume", Kind::kChoice, at<&Recipe::checkpoint, &CheckpointSection::resume>,
          "auto: continue the same recipe's run in output_dir; none: refuse a directory in use.")
          .one_of({"auto", "none"})
          .outside_identity()
          .also({"resume_from_checkpoint"}),

      Key("log", Kind::kSection, nullptr, "What is written down on the way."),
      Key("log.every", Kind::kFrequency, at<&Recipe::log, &LogSection::every>, "A row of metrics each 10 steps, 1% or 1 epoch.")
          .above(0)
          .outside_identity()
          .also({"logging_steps", "log_interval", "log_every_n_steps"}),
      Key("log.to", Kind::kTextList, at<&Recipe::log, &LogSection::to>,
          "Where rows go: the console, metrics.jsonl, TensorBoard event files.")
          .one_of({"console", "jsonl", "tensorboard"})
          .not_yet({"wandb", "mlflow"})
          .outside_identity()
          .also({"report_to"}),
      Key("log.progress", Kind::kChoice, at<&Recipe::log, &LogSection::progress>, "auto: a bar on a terminal, plain lines elsewhere.")
          .one_of({"auto", "bar", "lines", "none"})
          .outside_identity(),

      Key("export", Kind::kItems, at<&Recipe::exports>, "What is written at the end."),
      Key("export[].format", Kind::kChoice, at<&ExportItem::format>, "peft: the adapter directory.")
          .one_of({"peft"})
          .not_yet({"merged", "gguf"}),
      Key("export[].dtype", Kind::kChoice, at<&ExportItem::dtype>, "Number format of a merged model. null: the base's.")
          .nullable()
          .one_of({"bf16", "fp16", "fp32"})
          .spelled({{"bfloat16", "bf16"}, {"float16", "fp16"}, {"float32", "fp32"}}),
      Key("export[].check", Kind::kTextList, at<&ExportItem::check>, "Consumers whose objections to the adapter are printed.")
          .one_of({"peft", "vllm", "llama.cpp"}),

      Key("resolved", Kind::kSection, nullptr, "Written by graft into recipe.resolved.yaml; never needed by hand.").nullable(),
      Key("resolved.hash", Kind::kText, nullptr, "Identity of the run: SHA-256 over every key that can change the result.")
          .nullable()
          .outside_identity(),
      Key("resolved.given", Kind::kTextList, nullptr, "The keys that were written down, as opposed to left at their defaults.")
          .nullable()
          .outside_identity(),
  };
}

}  // namespace

const std::vector<Key>& schema_table() {
  static const std::vector<Key> table = [] {
    std::vector<Key> rows;
    for (auto part : {sections_of_the_run, sections_of_the_model, sections_of_the_adapter, sections_of_the_data, sections_of_the_training,
                      sections_of_the_machine, sections_of_the_records}) {
      for (Key& key : part()) rows.push_back(std::move(key));
    }
    return rows;
  }();
  return table;
}

}  // namespace graft::recipe
