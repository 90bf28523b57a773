#pragma once

#include <halftone/codec/codebook.hpp>
#include <halftone/codec/quotient.hpp>
#include <halftone/format.hpp>

#include "formats/format_traits.hpp"
#include "formats/scale_search.hpp"

namespace halftone::formats {

// NF4 and FP4: 4-bit codes of a table and the largest magnitude of each block of the flattened weight.

/// As convert_to_quant of December 2025 writes it: codes = nearest level of fl(w / absmax), absmax at
/// least 1e-12, the first element of a pair in the low nibble.
template <class C>
struct SearchedCodes : ClippingSearch {
  using Table = C;
  static constexpr bool kBitsandbytes = false;
  static constexpr ScaleGrid kGrid = ScaleGrid::row;
  static constexpr Packing kPacking = Packing::low_nibble_first;

  [[nodiscard]] static HALFTONE_HD Scale scale_from_amax(float amax) {
    const float stored = codec::larger(amax, kSmallestAmax);
    return {stored, stored};
  }
  [[nodiscard]] static HALFTONE_HD float normalised(float weight, float absmax) { return codec::quotient(weight, absmax); }
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float absmax) { return Table::encode(normalised(weight, absmax)); }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float absmax) { return scaled(Table::decode(code), absmax); }
};

/// As bitsandbytes writes it: codes by the limits of fl(w · fl(1 / absmax)), the first element of a
/// pair in the high nibble.  A block of zeros keeps its absmax of 0, and is divided by 1e-38.
template <class C>
struct BnbCodes : ClippingSearch {
  using Table = C;
  static constexpr bool kBitsandbytes = true;
  static constexpr ScaleGrid kGrid = ScaleGrid::row;
  static constexpr Packing kPacking = Packing::high_nibble_first;

  [[nodiscard]] static HALFTONE_HD Scale scale_from_amax(float amax) {
    constexpr float smallest = 1e-38F;
    return {1.0F / codec::larger(amax, smallest), amax};
  }
  [[nodiscard]] static HALFTONE_HD float normalised(float weight, float inverse) { return weight * inverse; }
  [[nodiscard]] static HALFTONE_HD std::uint32_t encode(float weight, float inverse) { return Table::encode(normalised(weight, inverse)); }
  [[nodiscard]] static HALFTONE_HD float decode(std::uint8_t code, float absmax) { return scaled(Table::decode(code), absmax); }
};

/// What tells the four layouts apart.
struct CodebookLayout {
  std::string_view type;                         ///< "nf4" or "fp4", in names and JSON
  bool bitsandbytes = false;                     ///< the order of the JSON keys, and whether the last block is filled up
  float (*level)(std::uint32_t code) = nullptr;  ///< the table
};

/// A format of blocks over the flattened weight: codes in `<layer>.weight`, (bytes, 1), and beside it, under
/// the weight's own name, `.absmax`, `.quant_map` and the JSON `.quant_state.bitsandbytes__<type>`.
class CodebookFormat : public FormatDescriptor {
 public:
  CodebookFormat(FormatFacts facts, CodebookLayout layout) : FormatDescriptor(std::move(facts)), layout_(layout) {}

  [[nodiscard]] Support accepts(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] std::vector<LayerTensor> outputs(const TensorInfo& weight, const QuantSpec& spec) const override;
  [[nodiscard]] LayerReading recognise(const StoredLayer& layer) const override;

  [[nodiscard]] const CodebookLayout& layout() const noexcept { return layout_; }

 private:
  [[nodiscard]] std::string state_json(const TensorInfo& weight, const QuantSpec& spec) const;
  /// What is wrong with the tensors of a double-quantized layer of so many blocks, or "".
  [[nodiscard]] std::string nested_contradiction(const StoredLayer& layer, std::uint64_t blocks) const;
  [[nodiscard]] std::uint64_t stored_elements(std::uint64_t elements, std::uint32_t block_size) const;

  CodebookLayout layout_;
};

/// The facts of such a format: those that all of them share, and its own.
[[nodiscard]] FormatFacts codebook_facts(FormatFacts own, Storage storage);

/// The format whose maths are `F`; `own`: the facts that tell it from the others, `type`: that of the layout.
template <class F>
[[nodiscard]] CodebookFormat codebook_format(FormatFacts own, std::string_view type) {
  return {codebook_facts(std::move(own), storage_of<F>({.flat = true})),
          {.type = type, .bitsandbytes = F::kBitsandbytes, .level = F::Table::level}};
}

}  // namespace halftone::formats
