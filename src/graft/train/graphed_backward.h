#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "graft/train/cuda_graph.h"
#include "graft/train/device_batch.h"
#include "graft/train/evaluate.h"
#include "graft/train/optimizer.h"

namespace graft::train {

/// Forward and backward of a step's only micro-batch as a CUDA graph, for batches whose shape comes again: whole rows, no more than
/// `most_tokens` tokens. The first kWarmups batches of a shape run as usual, the next is recorded. The loss function must be fit for
/// recording (see CudaGraph); adapters' dropout is: it follows set_dropout_position().
class GraphedBackward {
 public:
  static constexpr int kWarmups = 3;
  static constexpr size_t kMostGraphs = 4;

  GraphedBackward(const LossFunction& model, const NamedTensors& parameters, at::Device device, int64_t most_tokens)
      : model_(model), parameters_(parameters), device_(device), most_tokens_(most_tokens) {}

  /// The batch's loss sum, with the gradients of loss sum / step_tokens in the parameters' grad (which must be undefined before). None:
  /// this batch is to be run as usual, and nothing was changed.
  std::optional<at::Tensor> run(const DeviceBatch& batch, double step_tokens);

 private:
  struct Recorded {
    DeviceBatch input;  ///< what the graph reads
    double step_tokens = 0;
    int seen = 0;
    std::unique_ptr<CudaGraph> graph;
    at::Tensor loss_sum;
    std::vector<at::Tensor> gradients;
  };
  Recorded* recorded_for(const DeviceBatch& batch, double step_tokens);
  bool record(Recorded& recorded, const DeviceBatch& batch);

  const LossFunction& model_;
  const NamedTensors& parameters_;
  at::Device device_;
  int64_t most_tokens_;
  std::vector<Recorded> recorded_;
  at::Tensor dropout_round_;  ///< int64 [1] on the device: what recorded dropout reads
  bool usable_ = true;
};

}  // namespace graft::train
