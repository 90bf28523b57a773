#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include <halftone/codec/hd.hpp>

#include "exec/bands.hpp"
#include "exec/float_check.hpp"
#include "exec/input_band.hpp"
#include "exec/work.hpp"

namespace halftone::exec {
namespace {

/// Values that go through binary32 at a time; small enough for the L2 cache.
constexpr std::uint64_t kChunk = 1 << 16;

/// Finite binary32 values from here on round to infinity in F16.
constexpr float kF16Overflow = 65520.0F;

/// Writes `values` as `target` into `out`.  Throws out_of_range where F16 cannot hold one.
void store(const Context& context, const TensorInfo& tensor, const std::vector<float>& values, std::uint64_t n, std::byte* out) {
  if (tensor.dtype == Dtype::F16) {
    const MatrixView view{reinterpret_cast<const std::byte*>(values.data()), Dtype::F32, 1, n};
    const std::uint32_t magnitude = context.backend.max_magnitude(view);
    if (magnitude >= codec::bits(kF16Overflow)) {
      TensorInfo as_float = tensor;
      as_float.dtype = Dtype::F32;
      constexpr float below = 65519.996F;  // the largest binary32 under the limit
      reject_first_beyond(context.backend, as_float, {view.data, view.bytes()}, below, false);
    }
  }
  context.backend.from_float(values.data(), n, tensor.dtype, out);
}

/// Converts a float tensor of any shape to another float type.
class CastWork : public Work {
 public:
  CastWork(const Job& job, const Context& context)
      : job_(job), context_(context), source_(job.inputs[0].info), target_(context.plan.output.tensors[job.outputs[0]]) {
    const std::uint64_t bytes = std::max(bits_of(source_.dtype), bits_of(target_.dtype)) / 8;
    bands_ = Bands(element_count(source_.shape), bytes, 1, context.band_bytes);
  }

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return bands_.count(); }
  [[nodiscard]] std::uint64_t out_bytes() const override { return target_.bytes(); }

  void run(std::size_t, std::size_t task) override {
    const std::uint64_t in_bytes = bits_of(source_.dtype) / 8;
    const std::uint64_t out_bytes = bits_of(target_.dtype) / 8;
    const std::uint64_t first = bands_.first(task);
    const std::uint64_t n = bands_.size(task);
    const InputBand in(context_.files, job_.inputs[0], first * in_bytes, n * in_bytes);
    io::OutputFile::Window out(context_.output, context_.offset(job_.outputs[0], first * out_bytes), n * out_bytes);
    std::vector<float> values(std::min(kChunk, n));
    for (std::uint64_t at = 0; at < n; at += kChunk) {
      const std::uint64_t count = std::min(kChunk, n - at);
      context_.backend.to_float(source_.dtype, in.data() + at * in_bytes, count, values.data());
      store(context_, target_, values, count, out.bytes().data() + at * out_bytes);
    }
    in.check();
    out.flush();
  }

 private:
  const Job& job_;
  const Context& context_;
  const TensorInfo& source_;
  const TensorInfo& target_;
  Bands bands_;
};

/// Turns the codes and scales of a layer back into floats.
class DequantizeWork : public Work {
 public:
  DequantizeWork(const Job& job, const Context& context)
      : job_(job), context_(context), target_(context.plan.output.tensors[job.outputs[0]]), scales_{1.0F} {
    columns_ = target_.shape[1];
    const std::uint64_t multiple = job.spec.block_size != 0 ? job.spec.block_size : 1;
    bands_ = Bands(target_.shape[0], columns_ * bits_of(target_.dtype) / 8, multiple, context.band_bytes);
    if (job.inputs.size() > 1) {
      const auto bytes = context.files.bytes(job.inputs[1]);
      scales_.resize(bytes.size() / sizeof(float));
      std::memcpy(scales_.data(), bytes.data(), bytes.size());
    }
  }

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return columns_ == 0 ? 0 : bands_.count(); }
  [[nodiscard]] std::uint64_t out_bytes() const override { return target_.bytes(); }

  void run(std::size_t, std::size_t task) override {
    const std::uint64_t out_bytes = bits_of(target_.dtype) / 8;
    const std::uint64_t first = bands_.first(task);
    const std::uint64_t rows = bands_.size(task);
    const InputBand in(context_.files, job_.inputs[0], first * columns_, rows * columns_);
    io::OutputFile::Window out(context_.output, context_.offset(job_.outputs[0], first * columns_ * out_bytes),
                               rows * columns_ * out_bytes);
    const Bands chunks(rows, columns_, job_.spec.block_size != 0 ? job_.spec.block_size : 1, kChunk);
    std::vector<float> values(chunks.size(0) * columns_);
    for (std::uint64_t chunk = 0; chunk < chunks.count(); ++chunk) {
      const std::uint64_t row = chunks.first(chunk);
      const MatrixView view{in.data() + row * columns_, job_.inputs[0].info.dtype, chunks.size(chunk), columns_};
      context_.backend.dequantize(job_.spec, view, scales_of(first + row), values.data());
      store(context_, target_, values, view.elements(), out.bytes().data() + row * columns_ * out_bytes);
    }
    in.check();
    out.flush();
  }

 private:
  [[nodiscard]] const float* scales_of(std::uint64_t row) const {
    switch (job_.spec.format->grid()) {
      case ScaleGrid::none:
      case ScaleGrid::tensor: return scales_.data();
      case ScaleGrid::row: return scales_.data() + row;
      case ScaleGrid::block: return scales_.data() + row / job_.spec.block_size * base::ceil_div(columns_, job_.spec.block_size);
    }
    return nullptr;
  }

  const Job& job_;
  const Context& context_;
  const TensorInfo& target_;
  std::uint64_t columns_ = 0;
  Bands bands_;
  std::vector<float> scales_;
};

}  // namespace

std::unique_ptr<Work> make_cast_work(const Job& job, const Context& context) { return std::make_unique<CastWork>(job, context); }

std::unique_ptr<Work> make_dequantize_work(const Job& job, const Context& context) {
  return std::make_unique<DequantizeWork>(job, context);
}

}  // namespace halftone::exec
