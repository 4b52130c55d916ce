#include "graft/recipe/schema_rows.h"

namespace graft::recipe {

std::vector<Key> rows_of_the_run() {
  return {
      Key("memory", Kind::kSection, nullptr, "Memory against time."),
      Key("memory.checkpointing", Kind::kChoice, at<&Recipe::memory, &MemorySection::checkpointing>,
          "Activations recomputed in backward: none (fastest), full (least memory), {every: N} for each N-th layer, or auto: as few "
          "layers as the device's free memory (or memory.budget) allows.")
          .one_of({"auto", "none", "full"})
          .not_yet({"selective"})
          .also({"gradient_checkpointing", "enable_activation_checkpointing", "activation_checkpointing"}),
      Key("memory.checkpointing.every", Kind::kInteger, at<&Recipe::memory, &MemorySection::checkpointing_every>,
          "Recompute each N-th layer.")
          .range(1, 100000)
          .other_form(),
      Key("memory.offload_activations", Kind::kBool, at<&Recipe::memory, &MemorySection::offload_activations>,
          "true: what recomputed layers keep for backward, their inputs, waits in pinned host memory instead of on the GPU. The result "
          "is the same, bit for bit.")
          .also({"activation_offloading", "enable_activation_offloading"}),
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
          "true: fixed kernels, the same bits on every run on one kind of machine; slower on a GPU, whose attention otherwise sums in no "
          "fixed order in backward.")
          .also({"full_determinism", "cudnn_deterministic_mode"}),
      Key("runtime.compile", Kind::kChoice, at<&Recipe::runtime, &RuntimeSection::compile>, "Graph capture.")
          .one_of({"none"})
          .not_yet({"blocks", "full"}),

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
          "Text file with one prompt a line; the log shows the answers at each evaluation. null: none.")
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
          "Signals that save after the running step and end with exit code 75; the others act as the system has them.")
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
      Key("log.progress", Kind::kChoice, at<&Recipe::log, &LogSection::progress>,
          "auto: a bar on a terminal, plain lines elsewhere. log.txt has the lines in any case.")
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

}  // namespace graft::recipe
