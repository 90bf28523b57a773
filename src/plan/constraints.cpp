#include "plan/constraints.hpp"

#include <algorithm>
#include <utility>

#include "base/fail.hpp"
#include "formats/loader_limits.hpp"
#include "formats/quant_spec.hpp"

namespace halftone::plan {
namespace {

void keep(Decision& decision, std::string rule, std::string reason) {
  decision.action = Action::keep;
  decision.spec = {};
  decision.rule = std::move(rule);
  decision.reason = std::move(reason);
}

void write_plain(Decision& decision, const TensorInfo& tensor, const std::string& why) {
  const std::string_view name = decision.spec.format->facts().plain;
  if (name.empty()) {
    fail(ErrorKind::indivisible,
         "the layer '{}' {} cannot be written as {}: {}; there is no plain form of it, but --indivisible keep leaves it as it is",
         tensor.name, to_string(tensor.shape), decision.spec.format->name(), why);
  }
  decision.spec = formats::plain_form(decision.spec);
  decision.reason = fmt::format("{}; written as {}", why, name);
}

/// What is to be done about a layer that does not fit, and the name of the rule that says so.
std::pair<Indivisible, std::string> unfit_rule(const QuantSpec& spec, const PlanOptions& options) {
  if (options.indivisible) return {*options.indivisible, "--indivisible keep"};
  return {spec.format->facts().keeps_unfit ? Indivisible::keep : Indivisible::error, kShapeRule};
}

void handle_unfit(Decision& decision, const TensorInfo& tensor, const std::string& why, const PlanOptions& options) {
  const auto [what, rule] = unfit_rule(decision.spec, options);
  switch (what) {
    case Indivisible::keep: return keep(decision, rule, why);
    case Indivisible::plain: return write_plain(decision, tensor, why);
    case Indivisible::error:
      fail(ErrorKind::indivisible,
           "the layer '{}' {} cannot be written as {}: {}; --indivisible keep leaves it as it is{}, and a rule can choose another format",
           tensor.name, to_string(tensor.shape), decision.spec.format->name(), why,
           decision.spec.format->facts().plain.empty() ? "" : ", --indivisible plain writes it with row scales");
  }
}

}  // namespace

void keep_stored(Decision& decision) { keep(decision, kStoredRule, "it is stored in this format already"); }

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
    stored->require_readable();
    if (formats::same_way(stored->readable->spec, decision.spec)) return keep_stored(decision);
    if (stored->readable->shape.size() != 2)
      return keep(decision, kStoredRule, "it is stored as " + stored->format_name() + " and no matrix");
    const TensorInfo decoded{.name = tensor.name, .dtype = Dtype::F32, .shape = stored->readable->shape};
    apply_constraints(decision, decoded, nullptr, options);
    if (decision.action == Action::quantize) decision.reason += "; its source is stored as " + stored->format_name();
    return;
  }
  if (!is_source_float(tensor.dtype)) {
    return keep(decision, "element type", fmt::format("its type {} holds no weights to quantize", name_of(tensor.dtype)));
  }
  const FormatDescriptor& measured = options.spec.format != nullptr ? *options.spec.format : *decision.spec.format;
  const std::uint32_t block = options.spec.block_size != 0 ? options.spec.block_size : measured.facts().heuristic_block;
  if (std::string reason = heuristic_reason(options.heuristic, tensor.shape, block); !reason.empty()) {
    return keep(decision, "--heur", std::move(reason));
  }
  const bool adjust = options.target == Target::comfyui && options.presets != std::vector<std::string>{"none"};
  if (adjust && !decision.spec.full_precision_mm && !formats::product_takes(*decision.spec.format, tensor.shape)) {
    return keep(decision, kTargetRule,
                fmt::format("{} is not divisible by {}, and ComfyUI's {} product fails on such layers", to_string(tensor.shape),
                            decision.spec.format->facts().matmul_alignment, decision.spec.format->name()));
  }
  if (const Support support = decision.spec.format->accepts(tensor, decision.spec); !support) {
    handle_unfit(decision, tensor, support.reason, options);
  }
}

}  // namespace halftone::plan
