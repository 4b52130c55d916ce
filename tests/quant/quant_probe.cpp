// quant_probe IN.safetensors OUT.safetensors TYPE BLOCK DOUBLE: each matrix of IN in 4 bits and back; OUT holds NAME.codes, .absmax,
// .decoded and, with DOUBLE = 1, .nested_absmax and .offset.
// quant_probe decode IN.safetensors OUT.safetensors TYPE BLOCK ROWS COLUMNS: IN holds codes and absmax (and nested_absmax, nested_map,
// offset); OUT holds float32, bfloat16 and float16: the decoded matrix for a state of that dtype.
// quant_probe adamw IN.safetensors OUT.safetensors RATE BETA1 BETA2 EPSILON DECAY STEP: one step on moments in 8 bits; both files hold
// parameter, gradient, mean, square, mean_absmax and square_absmax.
// quant_probe maps OUT.safetensors: both dynamic maps.
// quant_probe speed: prints what one thread pool does on a 4096 x 4096 matrix.
#include <ATen/Functions.h>

#include <algorithm>
#include <chrono>
#include <iostream>

#include "graft/base/error.h"
#include "graft/io/tensor_file.h"
#include "graft/quant/codebook.h"
#include "graft/quant/eight_bit_adam.h"
#include "graft/quant/four_bit.h"

using namespace graft;

namespace {

using Named = std::vector<std::pair<std::string, at::Tensor>>;

void encode_all(const std::string& in, const std::string& out, const quant::FourBitOptions& options) {
  Named results;
  for (const auto& [name, tensor] : io::load_tensors(in)) {
    const auto stored = quant::encode(tensor, options, name);
    results.emplace_back(name + ".codes", stored.codes);
    results.emplace_back(name + ".absmax", stored.absmax);
    results.emplace_back(name + ".decoded", quant::decode(stored, stored.dtype));
    if (!stored.nested()) continue;
    results.emplace_back(name + ".nested_absmax", stored.nested_absmax);
    results.emplace_back(name + ".offset", at::full({1}, stored.offset, at::kFloat));
  }
  io::save_tensors(out, results);
}

void decode_all(const std::string& in, const std::string& out, quant::FourBitTensor stored) {
  const auto parts = io::load_tensors(in);
  stored.codes = parts.at("codes");
  stored.absmax = parts.at("absmax");
  stored.code_map = parts.at("code_map");
  if (parts.count("nested_absmax") > 0) {
    stored.nested_absmax = parts.at("nested_absmax");
    stored.nested_map = parts.at("nested_map");
    stored.offset = parts.at("offset").item<float>();
  }
  Named results;
  for (const auto& [name, dtype] :
       {std::pair("float32", at::kFloat), std::pair("bfloat16", at::kBFloat16), std::pair("float16", at::kHalf)}) {
    stored.dtype = dtype;
    results.emplace_back(name, quant::decode(stored, dtype));
  }
  io::save_tensors(out, results);
}

void step_adamw(const std::string& in, const std::string& out, const std::vector<double>& numbers, int64_t step) {
  auto t = io::load_tensors(in);
  const quant::EightBitMoments moments{t.at("mean"), t.at("square"), t.at("mean_absmax"), t.at("square_absmax")};
  quant::eight_bit_adamw(t.at("parameter"), t.at("gradient"), moments,
                         quant::adam_rule(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], step));
  io::save_tensors(out, {t.begin(), t.end()});
}

void write_maps(const std::string& out) {
  at::Tensor map = at::empty({256}), positive = at::empty({256});
  std::copy(quant::dynamic_map().begin(), quant::dynamic_map().end(), map.mutable_data_ptr<float>());
  std::copy(quant::unsigned_dynamic_map().begin(), quant::unsigned_dynamic_map().end(), positive.mutable_data_ptr<float>());
  io::save_tensors(out, {{"signed", map}, {"unsigned", positive}});
}

template <typename Work>
void time(const char* what, const Work& work) {
  work();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) work();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::cout << what << ": " << 5 * 4096.0 * 4096.0 / seconds.count() / 1e9 << " G weights/s\n";
}

void speed() {
  const at::Tensor weight = at::randn({4096, 4096}).to(at::kBFloat16);
  const auto stored = quant::encode(weight, {quant::FourBitType::kNf4, true, 64}, "w");
  time("encode nf4", [&] { quant::encode(weight, {quant::FourBitType::kNf4, true, 64}, "w"); });
  time("encode fp4", [&] { quant::encode(weight, {quant::FourBitType::kFp4, false, 64}, "w"); });
  time("decode to bfloat16", [&] { quant::decode(stored, at::kBFloat16); });
  time("decode to float32", [&] { quant::decode(stored, at::kFloat); });
  const at::Tensor parameter = at::randn({4096, 4096}), gradient = at::randn({4096, 4096});
  const auto moments = quant::zero_moments(parameter);
  time("8-bit AdamW", [&] { quant::eight_bit_adamw(parameter, gradient, moments, quant::adam_rule(1e-4, 0.9, 0.999, 1e-8, 0, 1)); });
}

int run(const std::vector<std::string>& words) {
  if (words.size() == 1 && words[0] == "speed") {
    speed();
  } else if (words.size() == 2 && words[0] == "maps") {
    write_maps(words[1]);
  } else if (words.size() == 9 && words[0] == "adamw") {
    std::vector<double> numbers;
    for (size_t i = 3; i < 8; ++i) numbers.push_back(std::stod(words[i]));
    step_adamw(words[1], words[2], numbers, std::stoll(words[8]));
  } else if (words.size() == 7 && words[0] == "decode") {
    quant::FourBitTensor stored;
    stored.type = quant::four_bit_type(words[3]);
    stored.block = std::stoll(words[4]);
    stored.shape = {std::stoll(words[5]), std::stoll(words[6])};
    decode_all(words[1], words[2], stored);
  } else if (words.size() == 5) {
    encode_all(words[0], words[1], {quant::four_bit_type(words[2]), words[4] == "1", std::stoll(words[3])});
  } else {
    throw UsageError("see the head of quant_probe.cpp");
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + 1, argv + argc});
  } catch (const Error& error) {
    std::cerr << error.what() << '\n';
    return static_cast<int>(error.code());
  }
}
