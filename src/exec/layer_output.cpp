#include "exec/layer_output.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "formats/double_quant.hpp"
#include "formats/scale_rules.hpp"

namespace halftone::exec {

void raise(std::atomic<std::uint32_t>& largest, std::uint32_t value) {
  std::uint32_t seen = largest.load(std::memory_order_relaxed);
  while (value > seen && !largest.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

std::optional<std::uint32_t> output_of(const Job& job, Role role) {
  for (std::size_t i = 0; i < job.outputs.size(); ++i) {
    if (job.roles[i] == role) return job.outputs[i];
  }
  return std::nullopt;
}

LayerOutput::LayerOutput(const Job& job, const Context& context, const formats::LayerLayout& layout)
    : job_(job),
      context_(context),
      layout_(layout),
      scales_(context, layout, output_of(job, Role::scales), output_of(job, Role::row_scales)),
      has_largest_scale_(output_of(job, Role::largest_scale).has_value()) {
  if (job.spec.double_quant) nested_.resize(layout.scale_count(layout.rows()));
}

io::OutputFile::Window LayerOutput::codes_of(std::uint64_t first, std::uint64_t rows) const {
  const std::uint64_t begin = layout_.code_bytes(first);
  const std::uint64_t end = first + rows == layout_.rows() ? codes().bytes() : begin + layout_.code_bytes(rows);
  return context_.window(job_.outputs[0], begin, end - begin);
}

std::uint64_t LayerOutput::write_scales(std::uint64_t first, std::span<const std::byte> scales) {
  if (has_largest_scale_ && !scales.empty()) {
    // One-byte scales order like their values.
    raise(largest_stored_, std::to_integer<std::uint32_t>(*std::max_element(scales.begin(), scales.end())));
  }
  if (nested_.empty()) return scales_.write(first, scales);
  std::memcpy(nested_.data() + layout_.first_scale(first), scales.data(), scales.size());
  return 0;
}

std::uint64_t LayerOutput::finish(float amax) const {
  std::uint64_t written = write_float(Role::tensor_scale, amax == 0.0F ? 1.0F : tensor_scale(*job_.spec.format, amax));
  if (!nested_.empty()) written += write_nested();
  if (has_largest_scale_) written += write_float(Role::largest_scale, formats::largest_scale(*job_.spec.format, largest_stored_));
  return written;
}

void LayerOutput::write_zeros(const Bands& bands) {
  if (!job_.spec.format->storage().unit_scales_for_zeros) return;
  for (std::uint64_t band = 0; band < bands.count(); ++band) {
    io::OutputFile::Window out = codes_of(bands.first(band), bands.size(band));
    std::memset(out.bytes().data(), 0, out.bytes().size());
    out.flush();
    const std::vector<float> ones(layout_.scale_count(bands.size(band)), 1.0F);
    write_scales(bands.first(band), std::as_bytes(std::span(ones)));
  }
}

/// Quantizes the scales of all rows and writes what becomes of them; returns the bytes written.
std::uint64_t LayerOutput::write_nested() const {
  const formats::NestedScales nested = formats::nest(nested_);
  std::string state = job_.bytes;
  // The blank stands before the closing brace.
  state.replace(state.size() - 1 - formats::kOffsetWidth, formats::kOffsetWidth, formats::offset_text(nested.offset));
  return write_bytes(Role::scales, std::as_bytes(std::span(nested.codes))) +
         write_bytes(Role::nested_scales, std::as_bytes(std::span(nested.magnitudes))) +
         write_bytes(Role::nested_state, std::as_bytes(std::span(state)));
}

std::uint64_t LayerOutput::write_bytes(Role role, std::span<const std::byte> bytes) const {
  const auto output = output_of(job_, role);
  if (!output) return 0;
  context_.write_at(*output, 0, bytes);
  return bytes.size();
}

}  // namespace halftone::exec
