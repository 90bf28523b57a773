#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace halftone {

/// How far the values b of a tensor are from the values a of the original, over all n elements.
struct ErrorFigures {
  double signal = 0;   ///< Σ a²
  double noise = 0;    ///< Σ (b − a)²
  double energy = 0;   ///< Σ b²
  double dot = 0;      ///< Σ a·b
  double max_abs = 0;  ///< max |b − a|
  double peak = 0;     ///< max |a|
  std::uint64_t elements = 0;

  void add(const ErrorFigures& other) noexcept;

  [[nodiscard]] double mse() const noexcept;      ///< noise / n
  [[nodiscard]] double sqnr_db() const noexcept;  ///< 10 log10(signal / noise); infinite without noise
  [[nodiscard]] double psnr_db() const noexcept;  ///< 10 log10(peak² / mse); infinite without noise
  [[nodiscard]] double cosine() const noexcept;   ///< dot / sqrt(signal · energy); 1 where both are zero
  [[nodiscard]] double rel_l2() const noexcept;   ///< sqrt(noise / signal)
};

/// One tensor that both files hold.
struct TensorComparison {
  std::string name;
  std::string stored;      ///< how the second file stores it: a format name or an element type
  bool comparable = true;  ///< false: other shape, or no floats; the figures mean nothing then
  ErrorFigures figures;
};

struct Comparison {
  std::filesystem::path other;
  std::vector<TensorComparison> layers;    ///< by name: tensors stored differently or with other values
  std::vector<std::string> only_original;  ///< tensors that the second file lacks
  std::vector<std::string> only_other;
  std::uint64_t identical = 0;  ///< tensors stored in the same way with equal values
  ErrorFigures total;           ///< over `layers`

  [[nodiscard]] bool equal() const noexcept { return layers.empty() && only_original.empty() && only_other.empty(); }
};

/// Compares the values of every tensor of `other` with those of `original`; quantized layers are
/// dequantized to binary32 first.  Either may be a file, a shard index or a folder.
/// A tensor that has another shape, or holds no floats, and differs is listed as not comparable.
/// Throws Error.
[[nodiscard]] Comparison compare_models(const std::filesystem::path& original, const std::filesystem::path& other, unsigned threads);

}  // namespace halftone
