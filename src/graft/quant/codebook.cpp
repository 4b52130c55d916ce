#include "graft/quant/codebook.h"

#include <cmath>

#include "graft/base/error.h"
#include "graft/base/strings.h"

namespace graft::quant {
namespace {

constexpr std::array<float, 16> kNf4 = {-1.0F,
                                        -0.6961928009986877F,
                                        -0.5250730514526367F,
                                        -0.39491748809814453F,
                                        -0.28444138169288635F,
                                        -0.18477343022823334F,
                                        -0.09105003625154495F,
                                        0.0F,
                                        0.07958029955625534F,
                                        0.16093020141124725F,
                                        0.24611230194568634F,
                                        0.33791524171829224F,
                                        0.44070982933044434F,
                                        0.5626170039176941F,
                                        0.7229568362236023F,
                                        1.0F};

constexpr std::array<float, 16> kFp4 = {0.0F,  0.0625F / 12,  8.0F / 12,  1.0F,  4.0F / 12,  6.0F / 12,  2.0F / 12,  3.0F / 12,
                                        -0.0F, -0.0625F / 12, -8.0F / 12, -1.0F, -4.0F / 12, -6.0F / 12, -2.0F / 12, -3.0F / 12};

// The map is symmetric but for 1: these 127 values, their negatives, 0 and 1.
constexpr std::array<float, 127> kDynamicPositive = {
    5.50000038e-07F, 3.25000019e-06F, 7.7499999e-06F,  2.12499981e-05F, 4.37499984e-05F, 6.62500024e-05F, 8.87499991e-05F, 0.000156250011F,
    0.000268750038F, 0.000381250022F, 0.000493750034F, 0.000606250076F, 0.00071875006F,  0.000831249985F, 0.000943750085F, 0.00128124992F,
    0.00184375001F,  0.00240624999F,  0.00296874996F,  0.00353124971F,  0.00409374991F,  0.00465624966F,  0.00521875033F,  0.00578125007F,
    0.00634374982F,  0.00690625003F,  0.00746874977F,  0.00803124998F,  0.00859375019F,  0.00915624946F,  0.00971874967F,  0.0114062503F,
    0.0142187504F,   0.0170312505F,   0.0198437516F,   0.0226562507F,   0.0254687499F,   0.028281251F,    0.0310937501F,   0.0339062512F,
    0.0367187522F,   0.0395312496F,   0.0423437469F,   0.0451562516F,   0.047968749F,    0.05078125F,     0.053593751F,    0.0564062484F,
    0.0592187531F,   0.0620312504F,   0.0648437515F,   0.0676562563F,   0.0704687461F,   0.0732812509F,   0.0760937482F,   0.078906253F,
    0.0817187577F,   0.0845312476F,   0.0873437524F,   0.0901562497F,   0.0929687545F,   0.0957812592F,   0.0985937491F,   0.107031256F,
    0.12109375F,     0.135156244F,    0.149218753F,    0.163281247F,    0.177343756F,    0.19140625F,     0.205468744F,    0.219531253F,
    0.233593747F,    0.247656241F,    0.26171875F,     0.275781274F,    0.289843738F,    0.303906262F,    0.317968726F,    0.33203125F,
    0.346093744F,    0.360156238F,    0.374218762F,    0.388281226F,    0.40234375F,     0.416406244F,    0.430468738F,    0.444531262F,
    0.458593726F,    0.47265625F,     0.486718714F,    0.500781238F,    0.514843702F,    0.528906226F,    0.54296875F,     0.557031274F,
    0.571093798F,    0.585156262F,    0.599218726F,    0.61328125F,     0.627343774F,    0.641406298F,    0.655468762F,    0.669531226F,
    0.68359375F,     0.697656274F,    0.711718798F,    0.725781262F,    0.739843726F,    0.75390625F,     0.767968774F,    0.782031238F,
    0.796093762F,    0.810156226F,    0.82421875F,     0.838281274F,    0.852343738F,    0.866406262F,    0.880468726F,    0.89453125F,
    0.908593774F,    0.922656238F,    0.936718762F,    0.950781226F,    0.96484375F,     0.978906274F,    0.992968738F};

/// Of `count` numbers evenly from 0.1 to 1, rounded as torch.linspace rounds them: from the nearer end, and once.
float bound(int index, int count) {
  const float step = (1.0F - 0.1F) / static_cast<float>(count - 1);
  if (index < count / 2) return std::fma(step, static_cast<float>(index), 0.1F);
  return std::fma(-step, static_cast<float>(count - 1 - index), 1.0F);
}

uint8_t nearest(const std::array<float, 256>& map, float x) {
  int pivot = 127, below = 0, above = 255;
  for (int step = 64; step > 0; step /= 2) {
    if (x > map[static_cast<size_t>(pivot)]) {
      below = pivot, pivot += step;
    } else {
      above = pivot, pivot -= step;
    }
  }
  const float value = map[static_cast<size_t>(pivot)];
  if (x > value) return static_cast<uint8_t>(x > (map[static_cast<size_t>(above)] + value) * 0.5F ? above : pivot);
  return static_cast<uint8_t>(x < (map[static_cast<size_t>(below)] + value) * 0.5F ? below : pivot);
}

}  // namespace

const std::array<float, 15> kNf4Thresholds = {-0.8480964004993439F,  -0.6106329262256622F,  -0.4599952697753906F,   -0.33967943489551544F,
                                              -0.23460740596055984F, -0.13791173323988914F, -0.045525018125772476F, 0.03979014977812767F,
                                              0.1202552504837513F,   0.2035212516784668F,   0.2920137718319893F,    0.3893125355243683F,
                                              0.5016634166240692F,   0.6427869200706482F,   0.8614784181118011F};

const std::array<float, 7> kFp4Thresholds = {0.00260417F, 0.0859375F, 0.20833333F, 0.29166667F, 0.4166667F, 0.583333F, 0.8333333F};
const std::array<uint8_t, 8> kFp4CodeOfRank = {0, 1, 6, 7, 4, 5, 2, 3};

const char* to_string(FourBitType type) { return type == FourBitType::kNf4 ? "nf4" : "fp4"; }

FourBitType four_bit_type(const std::string& name) {
  if (name == "nf4") return FourBitType::kNf4;
  if (name == "fp4") return FourBitType::kFp4;
  throw UsageError("\"" + name + "\" is no 4-bit format; known are nf4 and fp4").nearest(nearest_name(name, {"nf4", "fp4"}));
}

const std::array<float, 16>& codebook(FourBitType type) { return type == FourBitType::kNf4 ? kNf4 : kFp4; }

const std::array<float, 256>& dynamic_map() {
  static const std::array<float, 256> map = [] {
    std::array<float, 256> values{};
    for (size_t i = 0; i < kDynamicPositive.size(); ++i) values[128 + i] = kDynamicPositive[i], values[126 - i] = -kDynamicPositive[i];
    values[255] = 1.0F;
    return values;
  }();
  return map;
}

const std::array<float, 256>& unsigned_dynamic_map() {
  static const std::array<float, 256> map = [] {
    std::array<float, 256> values{};
    size_t next = 1;  // after 0
    for (const float power : {1e-6F, 1e-5F, 1e-4F, 1e-3F, 1e-2F, 1e-1F, 1.0F}) {
      const int bounds = static_cast<int>(next) + 2;  // 3, 5, 9, … 129: each power of ten has twice as many entries
      for (int i = 0; i + 1 < bounds; ++i) values[next++] = power * ((bound(i, bounds) + bound(i + 1, bounds)) / 2);
    }
    values[255] = 1.0F;
    return values;
  }();
  return map;
}

uint8_t nearest_in_dynamic_map(float x) { return nearest(dynamic_map(), x); }
uint8_t nearest_in_unsigned_dynamic_map(float x) { return nearest(unsigned_dynamic_map(), x); }

}  // namespace graft::quant
