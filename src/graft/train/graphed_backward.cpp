#include "graft/train/graphed_backward.h"

#include <ATen/ops/zeros.h>

#include "graft/adapters/dropout_stream.h"
#include "graft/base/log.h"

namespace graft::train {
namespace {

bool same_shape(const DeviceBatch& a, const DeviceBatch& b) {
  return a.ids.sizes() == b.ids.sizes() && a.supervised_tokens == b.supervised_tokens;
}

/// Rows that are one document each, without padding: what a graph recorded for another such batch can take.
bool has_whole_rows(const DeviceBatch& batch) { return batch.document_ids.defined() && batch.document_ids.eq(0).all().item<bool>(); }

DeviceBatch copy_of(const DeviceBatch& batch) {
  DeviceBatch copy = batch;
  copy.ids = batch.ids.clone();
  copy.targets = batch.targets.clone();
  copy.position_ids = batch.position_ids.clone();
  copy.supervised_rows = batch.supervised_rows.clone();
  return copy;
}

void take_over(DeviceBatch& into, const DeviceBatch& batch) {
  into.ids.copy_(batch.ids);
  into.targets.copy_(batch.targets);
  into.position_ids.copy_(batch.position_ids);
  into.supervised_rows.copy_(batch.supervised_rows);
}

}  // namespace

GraphedBackward::Recorded* GraphedBackward::recorded_for(const DeviceBatch& batch, double step_tokens) {
  for (Recorded& candidate : recorded_)
    if (candidate.step_tokens == step_tokens && same_shape(candidate.input, batch)) return &candidate;
  if (recorded_.size() == kMostGraphs) return nullptr;
  Recorded fresh;
  fresh.input = batch;
  fresh.step_tokens = step_tokens;
  recorded_.push_back(std::move(fresh));
  return &recorded_.back();
}

std::optional<at::Tensor> GraphedBackward::run(const DeviceBatch& batch, double step_tokens) {
  if (!usable_ || batch.ids.numel() > most_tokens_ || !has_whole_rows(batch)) return std::nullopt;
  Recorded* recorded = recorded_for(batch, step_tokens);
  if (recorded == nullptr) return std::nullopt;
  if (recorded->graph == nullptr) {
    if (recorded->seen++ < kWarmups || !record(*recorded, batch)) return std::nullopt;
  } else {
    take_over(recorded->input, batch);
  }
  dropout_round_.fill_(static_cast<int64_t>(dropout_round(current_dropout_position())));
  recorded->graph->replay();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    auto parameter = parameters_[i].second;
    parameter.mutable_grad() = recorded->gradients[i];
  }
  return recorded->loss_sum;
}

bool GraphedBackward::record(Recorded& recorded, const DeviceBatch& batch) {
  auto graph = make_cuda_graph(device_);
  usable_ = graph != nullptr;
  if (!usable_) return false;
  recorded.input = copy_of(batch);
  if (!dropout_round_.defined()) dropout_round_ = at::zeros({1}, at::TensorOptions(at::kLong).device(device_));
  const DropoutRoundGuard dropout_reads(dropout_round_);
  try {
    graph->begin();
    const auto result = model_(recorded.input);
    (result.loss_sum / recorded.step_tokens).backward();
    graph->end();
    recorded.loss_sum = result.loss_sum.detach();
  } catch (const std::exception& error) {
    usable_ = false;
    graph.reset();
    for (const auto& [name, parameter] : parameters_) at::Tensor(parameter).mutable_grad().reset();
    log::warning(std::string("this model's step cannot be recorded as a CUDA graph and runs without one: ") + error.what());
    return false;
  }
  recorded.gradients.clear();
  for (const auto& [name, parameter] : parameters_) recorded.gradients.push_back(parameter.grad());
  recorded.graph = std::move(graph);
  log::verbose("steps of " + std::to_string(batch.ids.size(0)) + " x " + std::to_string(batch.ids.size(1)) + " run as a CUDA graph");
  return true;
}

}  // namespace graft::train
