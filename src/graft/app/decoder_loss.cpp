#include "graft/app/decoder_loss.h"

#include "graft/ops/linear_cross_entropy.h"

namespace graft::app {

train::LossFunction decoder_loss(models::Decoder decoder, int64_t chunk) {
  return [decoder = std::move(decoder), chunk](const train::DeviceBatch& batch) mutable {
    const auto hidden = decoder->hidden_states(batch.ids, {batch.position_ids, batch.document_ids});
    const auto loss = ops::linear_cross_entropy(hidden.reshape({-1, hidden.size(-1)}), decoder->output_weight(), batch.targets.reshape(-1),
                                                batch.supervised_rows, /*correct=*/!batch.training, chunk);
    return train::LossResult{loss.loss_sum, loss.correct};
  };
}

}  // namespace graft::app
