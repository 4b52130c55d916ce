#pragma once

#include <cstdint>

#include "graft/ops/dropout_rule.h"

/// Raw launchers of the *_cuda.cu files: pointers to GPU memory, sizes, and the stream as LibTorch's c10::Stream::native_handle() gives it.
/// No LibTorch header, so that nvcc compiles a file in seconds. Matrices are row-major and contiguous unless a stride is named; pointers of
/// one call have one dtype (`Real`) unless typed otherwise. Sums, exponentials and statistics are float32. A failed launch throws.
namespace graft::ops::cuda {

enum class Real { kFloat, kBFloat16, kHalf };

/// sum = input + addend (skipped when addend is null; then sum may be null), y = round(sum · r) · weight, r = 1 / sqrt(mean(sum²) +
/// epsilon). All [rows, width]; weight [width]; reciprocal_root float [rows]. Rounds where transformers rounds.
void rms_norm_forward(Real dtype, const void* input, const void* addend, const void* weight, float epsilon, int64_t rows, int64_t width,
                      void* sum, void* output, float* reciprocal_root, void* stream);

/// input_gradient = r (w g − n mean(w g n)) + addend, n = input · r (addend may be null). input_gradient may be gradient itself.
void rms_norm_backward(Real dtype, const void* gradient, const void* input, const void* weight, const float* reciprocal_root,
                       const void* addend, int64_t rows, int64_t width, void* input_gradient, void* stream);

/// Half-split rotary embedding of [rows, length, heads, size]; cos, sin [table_rows, length, size / 2] with table_rows 1 or rows.
/// `sign` −1 is the inverse rotation: the gradient. The output's positions are `output_stride` elements apart.
void rotary(Real dtype, const void* input, const void* cos, const void* sin, int64_t rows, int64_t length, int64_t heads, int64_t size,
            int64_t table_rows, float sign, void* output, int64_t output_stride, void* stream);

/// input [rows, width] into columns of a wider matrix whose rows are `output_stride` elements apart.
void place_columns(Real dtype, const void* input, int64_t rows, int64_t width, void* output, int64_t output_stride, void* stream);

/// output = round(silu(gate)) · up over `count` elements.
void swiglu_forward(Real dtype, const void* gate, const void* up, int64_t count, void* output, void* stream);

/// From the output's gradient: gradients of gate and up, and the forward's output again when `output` is not null. Every result may lie
/// over any input: each element is read before it is written.
void swiglu_backward(Real dtype, const void* gradient, const void* gate, const void* up, int64_t count, void* gate_gradient,
                     void* up_gradient, void* output, void* stream);

/// narrow·wideᵀ, added to a matrix while it is read: narrow [rows, rank] with `narrow_stride` elements from row to row, the entry (n, k) of
/// wide at n·wide_stride + k·wide_step. rank 0: nothing is added; else a multiple of 4 with narrow 8-byte aligned and narrow_stride a
/// multiple of 4.
struct LowRank {
  const void* narrow = nullptr;
  int64_t narrow_stride = 0;
  const void* wide = nullptr;
  int64_t wide_stride = 0, wide_step = 0;
  int64_t rank = 0;
};
constexpr int64_t kMostSummedRank = 64;     // in low_rank_sum
constexpr int64_t kMostActivatedRank = 32;  // in low_rank_swiglu_*: beyond, adding the product first is as fast

/// base += terms + first + second, [rows, width], one rounding; first and second may be null. bfloat16 or float16 (tensor cores, float32
/// sums); width a multiple of 8, every pointer 16-byte aligned.
void low_rank_sum(Real dtype, void* base, const LowRank& terms, const void* first, const void* second, int64_t rows, int64_t width,
                  void* stream);

/// Products whose entries are dropped before they are added.
constexpr int kMostDroppedProducts = 3;
struct DroppedProducts {
  LowRank terms[kMostDroppedProducts];
  DropoutRule rules[kMostDroppedProducts];
  int count = 0;
};
constexpr int64_t kMostDroppedRank = 32;

/// base += Σ drop(narrow·wideᵀ), [rows, width], one rounding; 1 to kMostDroppedProducts products. As low_rank_sum; which entries are kept,
/// the rules say.
void low_rank_dropped_sum(Real dtype, void* base, const DroppedProducts& products, int64_t rows, int64_t width, void* stream);

/// A factor wide [rank, width] that is multiplied with what its rule keeps of x. Up to kMostDroppedFactors in a call.
constexpr int kMostDroppedFactors = 3;
constexpr int64_t kMostDroppedFactorRank = 16;
struct DroppedFactor {
  const void* wide = nullptr;  ///< 16-byte aligned
  int64_t rank = 0;
  int64_t begin = 0;  ///< its first column of the output
  float scale = 1;
  DropoutRule rule;
};
struct DroppedFactors {
  DroppedFactor factor[kMostDroppedFactors];
  int count = 0;
  int64_t total_rank = 0;  ///< columns of the output
};
/// output[:, begin … begin + rank) = scale · kept(x)·wideᵀ for every factor; x [rows, width] 16-byte aligned, width a multiple of 8, output
/// [rows, total_rank]. bfloat16 or float16.
void dropped_products(Real dtype, const void* x, const DroppedFactors& factors, int64_t rows, int64_t width, void* output, void* stream);

/// sum [rank, width] = narrowᵀ·kept(x) in float32, the same bits every time.
struct DroppedContraction {
  const void* narrow = nullptr;  ///< [rows, rank], as LowRank's
  int64_t narrow_stride = 0, rank = 0;
  DropoutRule rule;
  float* sum = nullptr;
};
struct DroppedContractions {
  DroppedContraction term[kMostDroppedFactors];
  int count = 0;
  float* partial = nullptr;  ///< dropped_contractions_partial_size numbers to work in
};
int64_t dropped_contractions_partial_size(int64_t rows, int64_t width, int count);
void dropped_contractions(Real dtype, const void* x, const DroppedContractions& terms, int64_t rows, int64_t width, void* stream);

/// output = input where the rule keeps an entry, else 0, over `count` entries of `size` bytes (2 or 4). output may be input.
void drop(const void* input, int64_t size, int64_t count, const DropoutRule& rule, void* output, void* stream);

/// swiglu_forward and swiglu_backward of [rows, width] matrices to which low-rank products are added first: gate + gate_terms, and so on,
/// rounded to `dtype`. As low_rank_sum; results may lie over inputs as above.
void low_rank_swiglu_forward(Real dtype, const void* gate, const LowRank& gate_terms, const void* up, const LowRank& up_terms, int64_t rows,
                             int64_t width, void* output, void* stream);
/// What backward contracts over the rows while it has it in registers (float32, the same bits every time): narrowᵀ of each term with the
/// result that stands in its place. Null: not wanted.
struct SwiGluContractions {
  float* partial = nullptr;  ///< low_rank_swiglu_partial_size numbers to work in; null: nothing is contracted
  float* output = nullptr;   ///< gradient_terms.narrowᵀ · output, [rank, width]
  float* gate = nullptr;     ///< gate_gradientᵀ · gate_terms.narrow, [width, rank]
  float* up = nullptr;       ///< up_gradientᵀ · up_terms.narrow, [width, rank]
};
/// rank: the largest of the three.
int64_t low_rank_swiglu_partial_size(int64_t rows, int64_t width, int64_t rank);
/// output may be null.
void low_rank_swiglu_backward(Real dtype, const void* gradient, const LowRank& gradient_terms, const void* gate, const LowRank& gate_terms,
                              const void* up, const LowRank& up_terms, int64_t rows, int64_t width, void* gate_gradient, void* up_gradient,
                              void* output, const SwiGluContractions& contractions, void* stream);

/// Per row of logits [rows, vocabulary]: loss = logsumexp − logit of the target. `gradient`: softmax − one-hot in the logits' place.
/// correct (may be null) grows by one for each row whose largest logit (the first of equals) is the target's.
void cross_entropy(Real dtype, void* logits, const int64_t* targets, int64_t rows, int64_t vocabulary, bool gradient, float* losses,
                   int64_t* correct, void* stream);

}  // namespace graft::ops::cuda
