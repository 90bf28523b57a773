#include "plan/constraints.hpp"

#include <algorithm>

#include <fmt/ranges.h>

#include "base/fail.hpp"

namespace halftone::plan {
namespace {

void keep(Decision& decision, std::string rule, std::string reason) {
  decision.action = Action::keep;
  decision.spec = {};
  decision.rule = std::move(rule);
  decision.reason = std::move(reason);
}

/// The format with the same codes and one scale per row.
const FormatDescriptor& plain_form(const FormatDescriptor& format) {
  for (const FormatDescriptor* other : all_formats()) {
    if (other->code_dtype() == format.code_dtype() && other->grid() == ScaleGrid::row) return *other;
  }
  fail(ErrorKind::internal, "the format {} has no form with row scales", format.name());
}

void handle_indivisible(Decision& decision, const TensorInfo& tensor, const std::string& why, const PlanOptions& options) {
  switch (options.indivisible) {
    case Indivisible::keep: return keep(decision, "--indivisible keep", why);
    case Indivisible::plain: {
      const FormatDescriptor& plain = plain_form(*decision.spec.format);
      decision.spec.format = &plain;
      decision.spec.block_size = 0;
      decision.spec.input_scale = decision.spec.input_scale && plain.takes_input_scale();
      decision.reason = why + "; written as " + std::string(plain.name());
      return;
    }
    case Indivisible::error:
      fail(ErrorKind::indivisible,
           "the layer '{}' {} cannot be written as {}: {}; --indivisible keep leaves it as it is, --indivisible plain writes it "
           "with row scales, and a rule can choose another format",
           tensor.name, to_string(tensor.shape), decision.spec.format->name(), why);
  }
}

}  // namespace

std::uint32_t checked_block_size(const QuantSpec& spec, const std::string& origin) {
  const auto sizes = spec.format->block_sizes();
  if (sizes.empty()) {
    if (spec.block_size == 0) return 0;
    fail(ErrorKind::usage, "{}: a block size has no effect on {}", origin, spec.format->name());
  }
  if (spec.block_size == 0) return sizes.front();
  if (std::find(sizes.begin(), sizes.end(), spec.block_size) != sizes.end()) return spec.block_size;
  fail(ErrorKind::usage, "{}: {} takes a block size of {}, not {}", origin, spec.format->name(), fmt::join(sizes, " or "), spec.block_size);
}

// The thresholds are those of convert_to_quant, December 2025; the divisibility test is all that
// its July 2026 version kept.
std::string heuristic_reason(Heuristic heuristic, const Shape& shape, std::uint32_t block) {
  if (heuristic == Heuristic::none) return {};
  const std::uint64_t rows = shape[0];
  const std::uint64_t columns = shape[1];
  if (rows < block || columns < block || rows % block != 0 || columns % block != 0) {
    return fmt::format("{} is not made of whole blocks of {}", to_string(shape), block);
  }
  if (heuristic == Heuristic::divisible) return {};
  const auto largest = static_cast<double>(std::max(rows, columns));
  const auto smallest = static_cast<double>(std::min(rows, columns));
  const double aspect = largest / smallest;
  if (aspect > 4.0 && smallest < 5120) return fmt::format("{} is too oblong to gain", to_string(shape));
  if (largest * smallest < 15'000'000 && aspect < 2.0) return fmt::format("{} is too small to gain", to_string(shape));
  if (largest < 4096) return fmt::format("{} has no dimension of 4096 or more", to_string(shape));
  return {};
}

void apply_constraints(Decision& decision, const TensorInfo& tensor, const formats::QuantizedLayer* stored, const PlanOptions& options) {
  if (element_count(tensor.shape) == 0) return keep(decision, "empty", "it has no elements");
  if (stored != nullptr) {
    fail(ErrorKind::unsupported, "'{}' is quantized already ({}); run 'halftone dequantize' first, or --exclude it", tensor.name,
         stored->format_text);
  }
  if (!is_source_float(tensor.dtype)) {
    return keep(decision, "element type", fmt::format("its type {} holds no weights to quantize", name_of(tensor.dtype)));
  }
  const std::uint32_t block = options.spec.block_size != 0 ? options.spec.block_size : options.spec.format->heuristic_block();
  if (std::string reason = heuristic_reason(options.heuristic, tensor.shape, block); !reason.empty()) {
    return keep(decision, "--heur", std::move(reason));
  }
  const std::uint32_t alignment = decision.spec.format->matmul_alignment();
  const bool adjust = options.target == Target::comfyui && options.presets != std::vector<std::string>{"none"};
  if (adjust && !decision.spec.full_precision_mm && (tensor.shape[0] % alignment != 0 || tensor.shape[1] % alignment != 0)) {
    return keep(decision, "--target comfyui",
                fmt::format("{} is not divisible by {}, and ComfyUI's {} product fails on such layers", to_string(tensor.shape), alignment,
                            decision.spec.format->name()));
  }
  if (const Support support = decision.spec.format->accepts(tensor, decision.spec); !support) {
    handle_indivisible(decision, tensor, support.reason, options);
  }
}

}  // namespace halftone::plan
