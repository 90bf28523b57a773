#include <algorithm>
#include <cstring>
#include <vector>

#include "exec/bands.hpp"
#include "exec/input_band.hpp"
#include "exec/store_floats.hpp"
#include "exec/work.hpp"
#include "formats/layer_layout.hpp"

namespace halftone::exec {
namespace {

/// Turns the codes and scales of a layer back into floats.
class DequantizeWork : public Work {
 public:
  DequantizeWork(const Job& job, const Context& context)
      : job_(job),
        context_(context),
        target_(context.plan.output.tensors[job.outputs[0]]),
        columns_(target_.shape[1]),
        layout_(job.spec, columns_),
        bands_(target_.shape[0], columns_ * bits_of(target_.dtype) / 8, layout_.row_multiple(), context.band_bytes),
        scales_{1.0F} {
    if (job.inputs.size() > 1) {
      const auto bytes = context.files.bytes(job.inputs[1]);
      scales_.resize(bytes.size() / sizeof(float));
      std::memcpy(scales_.data(), bytes.data(), bytes.size());
    }
  }

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return columns_ == 0 ? 0 : bands_.count(); }

  std::uint64_t run(std::size_t, std::size_t task) override {
    const std::uint64_t out_bytes = bits_of(target_.dtype) / 8;
    const std::uint64_t first = bands_.first(task);
    const std::uint64_t rows = bands_.size(task);
    const InputBand in(context_.files, job_.inputs[0], layout_.code_bytes(first), layout_.code_bytes(rows));
    io::OutputFile::Window out(context_.output, context_.offset(job_.outputs[0], first * columns_ * out_bytes),
                               rows * columns_ * out_bytes);
    const Bands chunks(rows, columns_, layout_.row_multiple(), kFloatChunk);
    std::vector<float> values(chunks.size(0) * columns_);
    for (std::uint64_t chunk = 0; chunk < chunks.count(); ++chunk) {
      const std::uint64_t row = chunks.first(chunk);
      const MatrixView view{in.data() + layout_.code_bytes(row), job_.inputs[0].info.dtype, chunks.size(chunk), columns_};
      context_.backend.dequantize(job_.spec, view, scales_.data() + layout_.first_scale(first + row), values.data());
      store_floats(context_, target_, (first + row) * columns_, values, view.elements(), out.bytes().data() + row * columns_ * out_bytes);
    }
    in.check();
    out.flush();
    return out.bytes().size();
  }

 private:
  const Job& job_;
  const Context& context_;
  const TensorInfo& target_;
  std::uint64_t columns_;
  formats::LayerLayout layout_;
  Bands bands_;
  std::vector<float> scales_;
};

}  // namespace

std::unique_ptr<Work> make_dequantize_work(const Job& job, const Context& context) {
  return std::make_unique<DequantizeWork>(job, context);
}

}  // namespace halftone::exec
