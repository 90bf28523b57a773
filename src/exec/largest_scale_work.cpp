#include <algorithm>

#include "exec/input_band.hpp"
#include "exec/work.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::exec {
namespace {

/// Writes the largest of a layer's one-byte scales as a number.
class LargestScaleWork : public Work {
 public:
  LargestScaleWork(const Job& job, const Context& context) : job_(job), context_(context) {}

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return 1; }

  std::uint64_t run(std::size_t, std::size_t) override {
    const InputBand in(context_.files, job_.inputs[0], 0, job_.inputs[0].info.bytes());
    std::byte largest{0};  // one-byte scales order like their values
    for (const std::byte scale : in.bytes()) largest = std::max(largest, scale);
    in.check();
    const float value = formats::largest_scale(*job_.spec.format, std::to_integer<std::uint32_t>(largest));
    context_.write_at(job_.outputs[0], 0, std::as_bytes(std::span(&value, 1)));
    return sizeof value;
  }

 private:
  const Job& job_;
  const Context& context_;
};

}  // namespace

std::unique_ptr<Work> make_largest_scale_work(const Job& job, const Context& context) {
  return std::make_unique<LargestScaleWork>(job, context);
}

}  // namespace halftone::exec
