#include "graft/recipe/schema_rows.h"

namespace graft::recipe {

std::vector<Key> rows_of_the_training() {
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
      Key("data.train[].limit", Kind::kCount, at<&DataSource::limit>,
          "Only the first N rows of the files; rows that are skipped or dropped count. null: all.")
          .nullable()
          .range(1)
          .also({"max_samples"}),
      Key("data.train[].fields", Kind::kTextList, at<&DataSource::fields>,
          "What this file calls the format's fields where it has names of its own: [prompt=question, completion=answer].")
          .also({"field_messages", "columns"}),
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
          "Number format of the running averages: fp32, or int8 in bitsandbytes' blocks of 256 (tensors under 4096 entries stay fp32).")
          .one_of({"fp32", "int8"})
          .not_yet({"paged-int8"}),
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
          "An improvement no larger than this does not count towards patience.")
          .range(0),
  };
}

}  // namespace graft::recipe
