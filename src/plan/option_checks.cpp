#include "plan/option_checks.hpp"

#include <algorithm>

#include "base/fail.hpp"
#include "plan/rotation.hpp"

namespace halftone::plan {
namespace {

/// Whether a format that the conversion, its example or one of its rules names has a property.
template <class Property>
bool any_format(const PlanOptions& options, const Property& has) {
  if (options.spec.format != nullptr && has(*options.spec.format)) return true;
  if (options.like && std::any_of(options.like->layers.begin(), options.like->layers.end(),
                                  [&](const auto& layer) { return layer.second && has(*layer.second->format); })) {
    return true;
  }
  return std::any_of(options.rules.begin(), options.rules.end(),
                     [&](const Rule& rule) { return rule.action == Action::quantize && rule.format != nullptr && has(*rule.format); });
}

/// What the formats of the conversion are called in messages.
std::string name_of_formats(const PlanOptions& options) {
  if (options.spec.format != nullptr) return std::string(options.spec.format->name());
  return fmt::format("the formats of '{}'", options.like->name);
}

bool is_described(const FormatDescriptor& format) { return !format.facts().comfy_format.empty(); }

bool is_rotated(const FormatDescriptor& format) { return !format.facts().rotation_groups.empty(); }

bool has_shape_needs(const FormatDescriptor& format) {
  const FormatFacts& facts = format.facts();
  return !facts.rotation_groups.empty() || !facts.block_sizes.empty() || facts.column_multiple > 1;
}

}  // namespace

void check_options(const PlanOptions& options) {
  if (options.spec.format == nullptr && !options.like) fail(ErrorKind::usage, "no format was chosen");
  if (options.spec.format == nullptr) {
    const auto needs_format = [](std::uint32_t size, std::string_view option) {
      if (size != 0) fail(ErrorKind::usage, "{} has no effect without --format", option);
    };
    needs_format(options.spec.block_size, "--block-size");
    needs_format(options.spec.rotation_group, "--rotation-group");
    needs_format(options.spec.group_size, "--group-size");
  }
  const std::string name = name_of_formats(options);
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
  if (options.rotation == Rotation::automatic && !any_format(options, can_go_unrotated)) {
    fail(ErrorKind::usage, "--rotation auto has no effect on {}, {}", name,
         any_format(options, is_rotated) ? "which no loader takes unrotated" : "which rotates nothing");
  }
  if (options.indivisible && !any_format(options, has_shape_needs)) {
    fail(ErrorKind::usage, "--indivisible has no effect on {}, which takes every shape", name);
  }
}

}  // namespace halftone::plan
