#include <cmath>
#include <cstring>

#include "exec/bands.hpp"
#include "exec/input_band.hpp"
#include "exec/work.hpp"
#include "formats/double_quant.hpp"

namespace halftone::exec {
namespace {

/// Writes the F32 scales that a layer's double-quantized ones stand for.
class UnnestWork : public Work {
 public:
  UnnestWork(const Job& job, const Context& context)
      : job_(job), context_(context), bands_(job.inputs[0].info.bytes(), sizeof(float), formats::kNestedBlock, context.band_bytes) {}

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return bands_.count(); }

  std::uint64_t run(std::size_t, std::size_t task) override {
    const InputBand in(context_.files, job_.inputs[0], bands_.first(task), bands_.size(task));
    const auto magnitudes = context_.files.bytes(job_.inputs[1]).subspan(bands_.first(task) / formats::kNestedBlock * sizeof(float));
    const std::vector<float> scales =
        formats::unnested({in.bytes(), magnitudes, context_.files.bytes(job_.inputs[2]), job_.stored->nested_offset}, 0, bands_.size(task));
    in.check();
    for (std::size_t i = 0; i < scales.size(); ++i) {
      if (std::isfinite(scales[i])) continue;
      fail(ErrorKind::bad_quantization, "the tensor '{}' stands for a scale that is not finite (number {} of them)",
           job_.inputs[0].info.name, bands_.first(task) + i + 1);
    }
    io::OutputFile::Window out = context_.window(job_.outputs[0], bands_.first(task) * sizeof(float), scales.size() * sizeof(float));
    std::memcpy(out.bytes().data(), scales.data(), out.bytes().size());
    out.flush();
    return out.bytes().size();
  }

 private:
  const Job& job_;
  const Context& context_;
  Bands bands_;  ///< of scales
};

}  // namespace

std::unique_ptr<Work> make_unnest_work(const Job& job, const Context& context) { return std::make_unique<UnnestWork>(job, context); }

}  // namespace halftone::exec
