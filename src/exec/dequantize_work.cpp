#include <cstring>
#include <span>
#include <vector>

#include "base/fail.hpp"
#include "exec/bands.hpp"
#include "exec/input_band.hpp"
#include "exec/store_floats.hpp"
#include "exec/work.hpp"
#include "formats/stored_matrix.hpp"

namespace halftone::exec {
namespace {

/// The input of `job` that has this role, or null.
const ModelTensor* input_of(const Job& job, Role role) {
  for (std::size_t i = 0; i < job.inputs.size(); ++i) {
    if (job.roles[i] == role) return &job.inputs[i];
  }
  return nullptr;
}

formats::StoredMatrix stored_matrix(const Job& job, const Context& context, const Shape& shape) {
  const auto bytes = [&](const ModelTensor* tensor) {
    return tensor == nullptr ? std::span<const std::byte>() : context.files.bytes(*tensor);
  };
  float tensor_scale = 1.0F;
  if (const auto found = bytes(input_of(job, Role::tensor_scale)); !found.empty()) {
    std::memcpy(&tensor_scale, found.data(), sizeof tensor_scale);
  }
  return {job.spec, shape, bytes(&job.inputs[0]), bytes(input_of(job, Role::scales)), tensor_scale};
}

/// Turns the codes and scales of a layer back into floats.
class DequantizeWork : public Work {
 public:
  DequantizeWork(const Job& job, const Context& context)
      : job_(job),
        context_(context),
        target_(context.plan.output.tensors[job.outputs[0]]),
        stored_(stored_matrix(job, context, target_.shape)),
        bands_(stored_.rows(), stored_.columns() * bits_of(target_.dtype) / 8, stored_.row_multiple(), context.band_bytes) {
    if (const auto bad = stored_.first_bad_scale()) {
      fail(ErrorKind::bad_quantization, "the layer of '{}' has a scale that is not finite (number {} of them)", job.inputs[0].info.name,
           *bad + 1);
    }
  }

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return stored_.columns() == 0 ? 0 : bands_.count(); }

  std::uint64_t run(std::size_t, std::size_t task) override {
    const std::uint64_t columns = stored_.columns();
    const std::uint64_t out_bytes = bits_of(target_.dtype) / 8;
    const std::uint64_t first = bands_.first(task);
    const std::uint64_t rows = bands_.size(task);
    const auto codes = stored_.codes_of(first, rows);
    const auto begin = static_cast<std::uint64_t>(codes.data() - context_.files.bytes(job_.inputs[0]).data());
    const InputBand in(context_.files, job_.inputs[0], begin, codes.size());
    io::OutputFile::Window out(context_.output, context_.offset(job_.outputs[0], first * columns * out_bytes), rows * columns * out_bytes);
    const Bands chunks(rows, columns, stored_.row_multiple(), kFloatChunk);
    std::vector<float> values(chunks.size(0) * columns);
    for (std::uint64_t chunk = 0; chunk < chunks.count(); ++chunk) {
      const std::uint64_t row = chunks.first(chunk);
      const std::uint64_t count = chunks.size(chunk);
      stored_.read(context_.backend, first + row, count, values.data());
      store_floats(context_, target_, (first + row) * columns, values, count * columns, out.bytes().data() + row * columns * out_bytes);
    }
    in.check();
    out.flush();
    return out.bytes().size();
  }

 private:
  const Job& job_;
  const Context& context_;
  const TensorInfo& target_;
  formats::StoredMatrix stored_;
  Bands bands_;
};

}  // namespace

std::unique_ptr<Work> make_dequantize_work(const Job& job, const Context& context) {
  return std::make_unique<DequantizeWork>(job, context);
}

}  // namespace halftone::exec
