#include "graft/train/trainer.h"

#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/nll_loss.h>

#include "graft/adapters/dropout_stream.h"
#include "graft/base/error.h"
#include "support/catch.h"
#include "train/toy_model.h"

using namespace graft::train;

namespace {

TrainerOptions options(int64_t steps) {
  ScheduleOptions schedule;
  schedule.type = ScheduleOptions::Type::kCosine;
  schedule.learning_rate = 0.02;
  schedule.warmup_steps = 2;
  TrainerOptions result(steps);
  result.schedule(schedule).log_every(1).handle_signals(false);
  return result;
}

std::vector<StepRow> losses_of(const StepSource& steps, Peers peers = {}) {
  ToyModel model;
  const auto recorder = std::make_shared<Recorder>();
  Trainer(model.loss(), model.parameters(), steps, options(10)).observe(recorder).peers(peers).run();
  return recorder->steps;
}

void require_same_curve(const std::vector<StepRow>& a, const std::vector<StepRow>& b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    // float32 sums in another order, ten updates deep: the promise is 1e-5 relative.
    CHECK(a[i].loss == Approx(b[i].loss).epsilon(1e-5));
    CHECK(a[i].grad_norm == Approx(b[i].grad_norm).epsilon(1e-5));
    CHECK(a[i].supervised_tokens == b[i].supervised_tokens);
    CHECK(a[i].tokens == b[i].tokens);
  }
}

}  // namespace

TEST_CASE("1x8 = 2x4 = 8x1: how a step is cut into micro-batches does not change loss or gradient norm", "[train]") {
  const auto whole = losses_of(toy_steps(8));
  CHECK(whole.back().loss < whole.front().loss);
  require_same_curve(losses_of(toy_steps(4)), whole);
  require_same_curve(losses_of(toy_steps(1)), whole);
}

TEST_CASE("packed rows give the loss of rows of their own", "[train]") {
  const StepSource packed = [](int64_t step) {
    const auto first = static_cast<uint64_t>(step) * 8;
    graft::data::StepBatches result;
    result.micro_batches.push_back(toy_batch({{first, first + 3, first + 5}, {first + 1}, {first + 2, first + 4, first + 6, first + 7}}));
    return result;
  };
  require_same_curve(losses_of(packed), losses_of(toy_steps(8)));
}

TEST_CASE("the loss of the first step is the token-weighted mean computed by hand", "[train]") {
  ToyModel model;
  double sum = 0;
  int64_t count = 0;
  for (uint64_t i = 8; i < 16; ++i) {
    const ToySample sample(i);
    for (size_t t = 0; t + 1 < sample.ids.size(); ++t) {
      if (sample.labels[t + 1] == -100) continue;
      const auto x = at::tanh(model.hidden.matmul(model.embedding[sample.ids[t]]));
      const auto logits = model.head.matmul(x).to(at::kDouble);
      sum += (logits.logsumexp(0) - logits[sample.labels[t + 1]]).item<double>();
      ++count;
    }
  }
  const auto rows = losses_of(toy_steps(2));
  CHECK(rows[0].supervised_tokens == count);
  CHECK(rows[0].loss == Approx(sum / static_cast<double>(count)).epsilon(1e-6));
  CHECK(rows[0].learning_rate == 0.01);
}

TEST_CASE("two ranks that share a step's micro-batches get the curve of one", "[train]") {
  // Rank 1 is played by computing its gradients when rank 0 asks for the sum: both see the same parameters at every step.
  ToyModel first, second;
  int64_t step = 0;
  Peers peers;
  peers.size = 2;
  peers.sum = [&](at::Tensor& flat) {
    const at::AutoGradMode with_gradient(true);
    ++step;
    const auto batches = toy_steps(1)(step);
    std::vector<at::Tensor> parts;
    for (size_t i = 0; i < 3; ++i) {
      at::NoGradGuard no_grad;
      second.parameters()[i].second.copy_(first.parameters()[i].second);
      auto handle = second.parameters()[i].second;
      handle.mutable_grad().reset();
    }
    double loss = 0;
    for (size_t i = 1; i < batches.micro_batches.size(); i += 2) {
      const auto result = second.loss()(to_device(batches.micro_batches[i], at::kCPU));
      const auto share = result.loss_sum / static_cast<double>(batches.supervised_tokens());
      share.backward();
      loss += share.item<double>();
    }
    for (const auto& [name, parameter] : second.parameters()) parts.push_back(parameter.grad().reshape({-1}));
    parts.push_back(at::tensor({static_cast<float>(loss), 0.0f}));
    flat.add_(at::cat(parts));
  };
  const auto recorder = std::make_shared<Recorder>();
  Trainer(first.loss(), first.parameters(), toy_steps(1), options(10)).observe(recorder).peers(peers).run();
  require_same_curve(recorder->steps, losses_of(toy_steps(8)));
}

TEST_CASE("evaluation weighs tokens, counts right predictions and changes nothing", "[train]") {
  ToyModel model, undisturbed;
  model.dropout = 0.5;
  undisturbed.dropout = 0.5;
  const auto evaluation = [] { return std::vector<graft::data::Batch>{toy_batch({{1}, {2}}), toy_batch({{3}})}; };
  const auto recorder = std::make_shared<Recorder>();
  Trainer(model.loss(), model.parameters(), toy_steps(4), options(4).evaluate_every(2).evaluate_at_start(true))
      .evaluate_on(evaluation)
      .set_training_with([&](bool on) { model.training = on; })
      .observe(recorder)
      .run();
  Trainer(undisturbed.loss(), undisturbed.parameters(), toy_steps(4), options(4)).run();
  CHECK(at::equal(model.hidden, undisturbed.hidden));
  REQUIRE(recorder->evaluations.size() == 3);
  CHECK(recorder->evaluations[0].step == 0);
  CHECK(recorder->evaluations[2].step == 4);
  ToyModel fresh;
  fresh.training = false;
  const auto one_row_each = evaluate(fresh.loss(), {toy_batch({{1}}), toy_batch({{2}}), toy_batch({{3}})}, at::kCPU);
  CHECK(recorder->evaluations[0].eval_loss == Approx(one_row_each.loss()).epsilon(1e-6));
  CHECK(recorder->evaluations[0].eval_tokens == one_row_each.supervised_tokens);
  CHECK(recorder->evaluations[0].eval_accuracy == one_row_each.accuracy());
}

TEST_CASE("training stops early after `patience` evaluations without a gain", "[train]") {
  ToyModel model;
  auto stopping = options(100);
  stopping.evaluate_every(2).patience(3);
  ScheduleOptions still;
  still.learning_rate = 0.0;  // nothing can improve
  stopping.schedule(still);
  const auto result = Trainer(model.loss(), model.parameters(), toy_steps(8), stopping)
                          .evaluate_on([] { return std::vector<graft::data::Batch>{toy_batch({{1}})}; })
                          .run();
  CHECK(result.stopped_early);
  CHECK(result.step == 8);  // the first at 2 is the best, then 4, 6, 8
  CHECK(result.best_step == 2);
}

TEST_CASE("a gain no larger than minimum_gain does not count towards patience, but the best checkpoint follows it", "[train]") {
  const auto run = [](double gain) {
    ToyModel model;
    auto stopping = options(10);
    stopping.evaluate_every(1).patience(2).minimum_gain(gain);
    return Trainer(model.loss(), model.parameters(), toy_steps(8), stopping)
        .evaluate_on([] { return toy_steps(8)(1).micro_batches; })
        .run();
  };
  CHECK(!run(0).stopped_early);  // ten steps on easy data: every evaluation gains
  const auto impatient = run(1e6);
  CHECK(impatient.stopped_early);
  CHECK(impatient.step == 3);  // the first counts against nothing, then two without a gain of a million
  CHECK(impatient.best_step == 3);
}

TEST_CASE("dropout of the model's own depends on seed, step and micro-batch only", "[train]") {
  const auto train = [](uint64_t noise) {
    ToyModel model;
    model.dropout = 0.3;
    at::manual_seed(noise);
    Trainer(model.loss(), model.parameters(), toy_steps(2), options(5)).run();
    return model.hidden.detach();
  };
  CHECK(at::equal(train(1), train(2)));
}

TEST_CASE("gradients that somebody else's backward left are not trained on", "[train]") {
  ToyModel model;
  model.loss()(to_device(toy_steps(8)(99).micro_batches[0], at::kCPU)).loss_sum.backward();
  REQUIRE(model.hidden.grad().defined());
  const auto recorder = std::make_shared<Recorder>();
  Trainer(model.loss(), model.parameters(), toy_steps(8), options(2)).observe(recorder).run();
  CHECK(recorder->steps[0].grad_norm == losses_of(toy_steps(8))[0].grad_norm);
}

TEST_CASE("float64 parameters train as float32 ones do", "[train]") {
  ToyModel model;
  for (auto* parameter : {&model.embedding, &model.hidden, &model.head}) *parameter = parameter->detach().to(at::kDouble).requires_grad_();
  const LossFunction loss = [&](const DeviceBatch& batch) {
    const auto x = at::tanh(at::linear(at::embedding(model.embedding, batch.ids).reshape({-1, ToyModel::kWidth}), model.hidden));
    const auto log_probabilities = at::log_softmax(at::linear(x, model.head), -1);
    return LossResult{at::nll_loss(log_probabilities, batch.targets.reshape({-1}), {}, at::Reduction::Sum, -100), {}};
  };
  const auto recorder = std::make_shared<Recorder>();
  Trainer(loss, model.parameters(), toy_steps(8), options(10)).observe(recorder).run();
  require_same_curve(recorder->steps, losses_of(toy_steps(8)));
}

TEST_CASE("after a run adapter dropout stands where it stood, however the run ended", "[train]") {
  const bool fails = GENERATE(false, true);
  graft::set_dropout_position(5, 6, 7);
  ToyModel model;
  const LossFunction loss = [&, inner = model.loss()](const DeviceBatch& batch) {
    REQUIRE(graft::current_dropout_position().seed == 42);
    if (fails) throw graft::DataError("broken on purpose");
    return inner(batch);
  };
  Trainer trainer(loss, model.parameters(), toy_steps(8), options(2));
  if (fails)
    CHECK_THROWS_AS(trainer.run(), graft::DataError);
  else
    trainer.run();
  const auto position = graft::current_dropout_position();
  graft::clear_dropout_position();
  CHECK(position.seed == 5);
  CHECK(position.step == 6);
  CHECK(position.micro == 7);
}
