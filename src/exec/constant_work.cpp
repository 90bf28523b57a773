#include "exec/work.hpp"

namespace halftone::exec {
namespace {

/// Writes bytes that the plan holds.
class ConstantWork : public Work {
 public:
  ConstantWork(const Job& job, const Context& context) : job_(job), context_(context) {}

  [[nodiscard]] std::size_t stages() const override { return 1; }
  [[nodiscard]] std::size_t tasks(std::size_t) const override { return 1; }
  std::uint64_t run(std::size_t, std::size_t) override {
    context_.write_at(job_.outputs[0], 0, std::as_bytes(std::span(job_.bytes)));
    return job_.bytes.size();
  }

 private:
  const Job& job_;
  const Context& context_;
};

}  // namespace

std::unique_ptr<Work> make_constant_work(const Job& job, const Context& context) { return std::make_unique<ConstantWork>(job, context); }

}  // namespace halftone::exec
