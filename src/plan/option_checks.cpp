#include "plan/option_checks.hpp"

#include <algorithm>

#include "base/fail.hpp"

namespace halftone::plan {
namespace {

/// Whether a format that the conversion or one of its rules names has a property.
template <class Property>
bool any_format(const PlanOptions& options, const Property& has) {
  return has(*options.spec.format) || std::any_of(options.rules.begin(), options.rules.end(), [&](const Rule& rule) {
           return rule.action == Action::quantize && rule.format != nullptr && has(*rule.format);
         });
}

bool is_described(const FormatDescriptor& format) { return !format.facts().comfy_format.empty(); }

bool has_shape_needs(const FormatDescriptor& format) {
  const FormatFacts& facts = format.facts();
  return !facts.rotation_groups.empty() || !facts.block_sizes.empty() || facts.column_multiple > 1;
}

}  // namespace

void check_options(const PlanOptions& options) {
  if (options.spec.format == nullptr) fail(ErrorKind::usage, "no format was chosen");
  const std::string_view name = options.spec.format->name();
  if (options.spec.input_scale && !any_format(options, [](const auto& format) { return format.facts().takes_input_scale; })) {
    fail(ErrorKind::usage, "--input-scale has no effect on {}", name);
  }
  if (options.spec.double_quant && !any_format(options, [](const auto& format) { return format.facts().takes_double_quant; })) {
    fail(ErrorKind::usage, "--double-quant has no effect on {}; nf4-bnb and fp4-bnb take it", name);
  }
  if (options.spec.full_precision_mm && !any_format(options, is_described)) {
    fail(ErrorKind::usage, "--full-precision-mm has no effect on {}, which stores no layer description", name);
  }
  if (options.quant_metadata && !any_format(options, is_described)) {
    fail(ErrorKind::usage, "--quant-metadata has no effect on {}, which stores no layer description", name);
  }
  if (options.spec.scales == ScaleMethod::search && !any_format(options, can_search_scales)) {
    fail(ErrorKind::usage, "--scales search gains nothing on {}", name);
  }
  if (options.indivisible && !any_format(options, has_shape_needs)) {
    fail(ErrorKind::usage, "--indivisible has no effect on {}, which takes every shape", name);
  }
}

}  // namespace halftone::plan
