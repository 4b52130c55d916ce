#include "recipe/recipe_support.h"

TEST_CASE("exactly one of steps, epochs and tokens", "[recipe]") {
  REQUIRE_THAT(error_of(replaced(kSmallest, "{steps: 5}", "{clip_grad_norm: 1}")),
               Contains("recipe.yaml:7:8: the length of the run is missing"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "train: {steps: 5}\n", "")), Contains("the length of the run is missing"));
  REQUIRE_THAT(error_of(replaced(kSmallest, "{steps: 5}", "{steps: 5, epochs: 1}")),
               Contains("more than one of train.steps") && Contains("~train.epochs"));
  REQUIRE_THAT(error_of(kSmallest, {"train.tokens=50M"}), Contains("more than one"));
  REQUIRE(parse(kSmallest, {"~train.steps", "train.tokens=50M"}).train.tokens == 50'000'000);
  REQUIRE(parse(kSmallest, {"train.steps=null", "train.epochs=0.5"}).train.epochs == 0.5);
}

TEST_CASE("a step is counted in sequences or in tokens, and holds its micro-batches", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest, {"batch.sequences_per_step=8", "batch.tokens_per_step=100"}), Contains("both given"));
  REQUIRE_THAT(error_of(kSmallest, {"batch.sequences_per_step=2", "batch.micro_sequences=4"}),
               Contains("batch.micro_sequences=4: batch.micro_sequences is larger"));
  REQUIRE_THAT(error_of(kSmallest, {"batch.tokens_per_step=2", "batch.micro_sequences=4"}), Contains("larger than batch.tokens_per_step"));
  REQUIRE(parse(kSmallest, {"batch.tokens_per_step=65536"}).batch.sequences_per_step == std::nullopt);
  REQUIRE(parse(kSmallest, {"batch.micro_sequences=32"}).batch.sequences_per_step == 32);
  REQUIRE(graft::recipe::remarks(parse(kSmallest, {"batch.sequences_per_step=7", "batch.micro_sequences=2"})).size() == 1);
  REQUIRE(graft::recipe::remarks(parse(kSmallest)).empty());
}

TEST_CASE("full fine-tuning takes no keys of the low-rank matrices", "[recipe]") {
  REQUIRE(parse(kSmallest, {"adapter.type=full"}).adapter.type == "full");
  for (const char* override_text :
       {"adapter.rank=8", "adapter.alpha=8", "adapter.target=mlp", "adapter.dropout=0.1", "adapter.init_from=a", "adapter.scaling=rslora",
        "adapter.exclude=[a]", "adapter.layers=[0]", "adapter.modules_to_save=[a]", "adapter.bias=all", "adapter.init=gaussian"}) {
    INFO(override_text);
    REQUIRE_THAT(error_of(kSmallest, {"adapter.type=full", override_text}),
                 Contains("command line: adapter.type=full: adapter.type: full trains every parameter"));
  }
}

TEST_CASE("quant needs a type", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest + "quant:\n  block: 64\n"), Contains("recipe.yaml:9:3: quant has keys but no type"));
  REQUIRE(parse(kSmallest + "quant: {type: nf4, block: 128}\n").quant.block == 128);
  REQUIRE_THAT(error_of(kSmallest + "quant: {type: none, block: 128}\n"), Contains("quantizes nothing"));
  REQUIRE_THAT(error_of(kSmallest + "quant: {type: fp4, block: 96}\n"), Contains("not a power of two"));
  REQUIRE_THAT(error_of(kSmallest + "quant: {type: nf4, block: 16}\n"), Contains("32"));
  REQUIRE_THAT(error_of(kSmallest + "quant: {type: nf4}\n", {"adapter.type=full"}), Contains("cannot be trained in full"));
}

TEST_CASE("target words stand alone and lists are lists", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest, {"adapter.target=[]"}), Contains("empty list"));
  REQUIRE_THAT(error_of(kSmallest, {"adapter.target=[mlp, q_proj]"}), Contains("stand alone"));
  REQUIRE_THAT(error_of(kSmallest, {"adapter.target=q_proj,v_proj"}), Contains("[q_proj, v_proj]"));
  REQUIRE(parse(kSmallest, {"adapter.target=regex:.*(q|v)_proj, x"}).adapter.target.size() == 1);
  REQUIRE_THAT(error_of(kSmallest, {"adapter.overrides=[{match: q_proj}]"}), Contains("neither rank nor alpha"));
}

TEST_CASE("pre-training trains on every token", "[recipe]") {
  REQUIRE_NOTHROW(parse(kSmallest, {"task=pretrain", "data.train.0.format=text"}));
  REQUIRE_THAT(error_of(kSmallest, {"task=pretrain", "data.train_on=assistant"}), Contains("trains on every token"));
  REQUIRE_THAT(error_of(kSmallest, {"data.train_on={roles: []}"}), Contains("data.train_on.roles is an empty list"));
}

TEST_CASE("early stopping needs evaluation data and a patience", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest, {"train.stop_when.patience=3"}), Contains("needs evaluation data"));
  REQUIRE_THAT(error_of(kSmallest, {"train.stop_when={metric: eval/loss}"}), Contains("no patience"));
  REQUIRE_THAT(error_of(kSmallest, {"train.stop_when={min_delta: 0.1}"}), Contains("no patience"));
  const auto recipe = parse(kSmallest, {"train.stop_when={metric: eval_loss, patience: 3}", "data.eval={split: 0.1}"});
  REQUIRE(recipe.train.stop_when.patience == 3);
  REQUIRE(recipe.train.stop_when.metric == "eval/loss");
}

TEST_CASE("the schedule fits the run", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest, {"train.schedule.min_lr=1.0"}), Contains("above the peak"));
  REQUIRE_THAT(error_of(kSmallest, {"train.schedule.min_lr=101%"}), Contains("above the peak"));
  REQUIRE_THAT(error_of(kSmallest, {"train.schedule.decay=20%"}), Contains("wsd"));
  REQUIRE_NOTHROW(parse(kSmallest, {"train.schedule.decay=20%", "train.schedule.type=wsd"}));
  REQUIRE_THAT(error_of(kSmallest, {"train.schedule.warmup=6"}), Contains("longer than the run"));
  REQUIRE_NOTHROW(parse(kSmallest, {"train.schedule.warmup=5"}));
}

TEST_CASE("only inputs of recomputed layers are offloaded, and only from a GPU", "[recipe]") {
  const std::string offload = "memory: {offload_activations: true, checkpointing: ";
  REQUIRE_THAT(error_of(kSmallest + offload + "none}\n"),
               Contains("recipe.yaml:8:31: memory.offload_activations keeps the inputs of recomputed layers") &&
                   Contains("memory.checkpointing: full"));
  REQUIRE_THAT(error_of(kSmallest + offload + "full}\n", {"runtime.device=cpu"}), Contains("runtime.device is cpu"));
  for (const char* checkpointing : {"auto", "full", "{every: 2}"})
    REQUIRE(parse(kSmallest + offload + checkpointing + "}\n").memory.offload_activations);
  REQUIRE_FALSE(parse(kSmallest).memory.offload_activations);
}

TEST_CASE("several processes and merged exports are refused in this version", "[recipe]") {
  REQUIRE_THAT(error_of(kSmallest, {"runtime.ranks=2"}), Contains("more than one process is not in this version"));
  REQUIRE_NOTHROW(parse(kSmallest, {"runtime.ranks=1"}));
  REQUIRE_THAT(error_of(kSmallest, {"export=[{format: peft, dtype: bf16}]"}), Contains("dtype belongs to merged models"));
}

TEST_CASE("evaluation settings without evaluation data are remarked on", "[recipe]") {
  const auto lines = graft::recipe::remarks(parse(kSmallest + "eval: {every: 5}\n"));
  REQUIRE(lines.size() == 1);
  REQUIRE_THAT(lines[0], Contains("recipe.yaml:8:7") && Contains("data.eval is null"));
}
