#pragma once

#include <ATen/ops/dropout.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/tanh.h>

#include <vector>

#include "graft/base/random.h"
#include "graft/ops/linear_cross_entropy.h"
#include "graft/train/trainer.h"

/// A language model of a few hundred numbers whose positions do not see each other, with every tensor a plain parameter: enough to drive a
/// Trainer, small enough to train hundreds of steps in a second. Built from a seed; two with the same seed are the same.
struct ToyModel {
  static constexpr int64_t kVocabulary = 23, kWidth = 8;
  at::Tensor embedding = parameter({kVocabulary, kWidth}, 1), hidden = parameter({kWidth, kWidth}, 2),
             head = parameter({kVocabulary, kWidth}, 3);
  double dropout = 0.0;
  bool training = true;

  static at::Tensor parameter(std::vector<int64_t> shape, uint64_t which) {
    auto tensor = at::empty(shape, at::kFloat);
    graft::RandomStream random(7, "toy", which);
    for (int64_t i = 0; i < tensor.numel(); ++i) tensor.data_ptr<float>()[i] = static_cast<float>(0.5 * random.normal());
    return tensor.requires_grad_();
  }

  graft::train::NamedTensors parameters() const { return {{"embedding", embedding}, {"hidden", hidden}, {"head", head}}; }

  graft::train::LossFunction loss() {
    return [this](const graft::train::DeviceBatch& batch) {
      auto x = at::embedding(embedding, batch.ids).reshape({-1, kWidth});
      x = at::dropout(at::tanh(at::linear(x, hidden)), dropout, training);
      const auto result =
          graft::ops::linear_cross_entropy(x, head, batch.targets.reshape({-1}), batch.supervised_rows, /*correct=*/!batch.training);
      return graft::train::LossResult{result.loss_sum, result.correct};
    };
  }
};

/// One sample of random length 3 … 12 whose first tokens are masked, numbered `index`.
struct ToySample {
  std::vector<int32_t> ids, labels;
  explicit ToySample(uint64_t index) {
    graft::RandomStream random(11, "sample", index);
    const auto length = 3 + random.below(10), masked = random.below(3);
    for (uint64_t i = 0; i < length; ++i) {
      ids.push_back(static_cast<int32_t>(random.below(ToyModel::kVocabulary)));
      labels.push_back(i < 1 + masked ? -100 : ids.back());
    }
  }
};

/// Rows, each a list of sample numbers laid one after the other, padded to the longest.
inline graft::data::Batch toy_batch(const std::vector<std::vector<uint64_t>>& rows) {
  graft::data::Batch batch;
  batch.rows = static_cast<int64_t>(rows.size());
  for (const auto& row : rows) {
    int64_t length = 0;
    for (const auto index : row) length += static_cast<int64_t>(ToySample(index).ids.size());
    batch.length = std::max(batch.length, length);
  }
  for (const auto& row : rows) {
    const auto end = batch.ids.size() + static_cast<size_t>(batch.length);
    int32_t document = 0;
    for (const auto index : row) {
      const ToySample sample(index);
      for (size_t i = 0; i < sample.ids.size(); ++i) {
        batch.ids.push_back(sample.ids[i]);
        batch.labels.push_back(sample.labels[i]);
        batch.position_ids.push_back(static_cast<int32_t>(i));
        batch.document_ids.push_back(document);
        batch.supervised_tokens += sample.labels[i] != -100;
        ++batch.tokens;
      }
      ++document;
    }
    batch.ids.resize(end, 0);
    batch.labels.resize(end, -100);
    batch.position_ids.resize(end, 0);
    batch.document_ids.resize(end, -1);
  }
  return batch;
}

/// Eight samples a step, `micro` of them in each micro-batch.
inline graft::train::StepSource toy_steps(uint64_t micro) {
  return [micro](int64_t step) {
    graft::data::StepBatches result;
    result.epoch = static_cast<double>(step) / 10;
    for (uint64_t first = 0; first < 8; first += micro) {
      std::vector<std::vector<uint64_t>> rows;
      for (uint64_t i = first; i < first + micro; ++i) rows.push_back({static_cast<uint64_t>(step) * 8 + i});
      result.micro_batches.push_back(toy_batch(rows));
    }
    return result;
  };
}

/// Writes down what it is told.
struct Recorder : graft::train::Observer {
  std::vector<graft::train::StepRow> steps;
  std::vector<graft::train::EvaluationRow> evaluations;
  std::vector<int64_t> checkpoints;
  void on_step(const graft::train::StepRow& row, bool) override { steps.push_back(row); }
  void on_evaluation(const graft::train::EvaluationRow& row) override { evaluations.push_back(row); }
  void on_checkpoint(int64_t step, const std::filesystem::path&) override { checkpoints.push_back(step); }
};
