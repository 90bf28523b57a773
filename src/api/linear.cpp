#include <halftone/linear.hpp>

#include <algorithm>
#include <thread>

#include "api/backends.hpp"
#include "base/fail.hpp"
#include "base/text.hpp"
#include "cpu/cpu_backend.hpp"
#include "cpu/linear.hpp"
#include "formats/layer_names.hpp"
#include "formats/quant_spec.hpp"
#include "ops/operation_table.hpp"
#include "ops/stored_layer.hpp"
#if HALFTONE_HAS_CUDA
#include "linear_device.hpp"
#endif

namespace halftone {
namespace {

unsigned count_of_threads(unsigned wanted) { return wanted != 0 ? wanted : std::max(std::thread::hardware_concurrency(), 1U); }

}  // namespace

struct Operations::State {
  std::unique_ptr<Backend> backend;
  unsigned threads;
#if HALFTONE_HAS_CUDA
  std::unique_ptr<cuda::LinearDevice> gpu;  ///< null on the processor
#endif
};

Operations::Operations(const std::string& device, unsigned threads)
    : state_(std::make_unique<State>(State{api::open_backend(device), count_of_threads(threads)})) {
#if HALFTONE_HAS_CUDA
  if (state_->backend->kind() == DeviceKind::gpu) state_->gpu = cuda::open_linear_device(api::gpus_named(device).front());
#endif
}

Operations::~Operations() = default;

std::string_view Operations::device() const noexcept { return state_->backend->name(); }
DeviceKind Operations::device_kind() const noexcept { return state_->backend->kind(); }

LinearLayer Operations::quantize(const QuantSpec& spec, const MatrixView& weight) const {
  if (spec.format == nullptr) fail(ErrorKind::usage, "quantize needs a format");
  const QuantSpec complete = formats::complete_spec(spec, {});
  return ops::operations_of(*spec.format).quantize(*state_->backend, complete, weight);
}

std::vector<float> Operations::dequantize(const LinearLayer& layer) const {
  return ops::operations_of(*layer.spec.format).dequantize(*state_->backend, layer);
}

std::vector<PlainTensor> Operations::plain_tensors(const LinearLayer& layer, const std::string& weight) const {
  return ops::operations_of(*layer.spec.format).plain_tensors(layer, weight);
}

LinearLayer Operations::transpose(const LinearLayer& layer) const { return ops::operations_of(*layer.spec.format).transpose(layer); }

std::unique_ptr<Linear> Operations::linear(const LinearLayer& layer, Activations activations) const {
  if (activations != Activations::plain) {
    if (const Support can = can_quantize_activations(layer); !can) fail(ErrorKind::unsupported, "{}", can.reason);
  }
#if HALFTONE_HAS_CUDA
  if (state_->gpu) return state_->gpu->linear(layer, activations);
#endif
  return cpu::make_linear(*state_->backend, layer, activations, state_->threads);
}

std::unique_ptr<Linear> Operations::dense(const MatrixView& weight, std::span<const float> bias) const {
#if HALFTONE_HAS_CUDA
  if (state_->gpu) return state_->gpu->dense(weight, bias);
#endif
  return cpu::make_dense(*state_->backend, weight, bias, state_->threads);
}

LinearLayer read_linear_layer(const std::filesystem::path& path, std::string_view name) {
  const auto backend = cpu::make_backend();
  const io::ModelFiles files(path);
  const bool whole = formats::has_suffix(name, formats::kWeightSuffix);
  const std::string base = whole ? formats::base_name(name) : std::string(name);
  std::vector<std::string> names;
  for (const formats::QuantizedLayer& layer : formats::find_quantized_layers(files.index(), files.side_texts())) {
    if (layer.base == base) return ops::layer_in_memory(files, layer, *backend);
    names.push_back(layer.base);
  }
  fail(ErrorKind::usage, "'{}' has no quantized layer '{}'{}", path.string(), base, base::did_you_mean(base, names));
}

}  // namespace halftone
