#pragma once

#include <cstdlib>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include <halftone/backend.hpp>
#include <halftone/codec/half.hpp>

#include "api/backends.hpp"
#include "base/checked.hpp"
#include "cpu/cpu_backend.hpp"
#include "exec/candidate_errors.hpp"
#include "support/format_spec.hpp"

namespace halftone::test {

/// One backend under test.  The CPU counts once for each instruction set that runs here, and so does
/// a GPU; where HALFTONE_REQUIRE_GPU=1 says that there is one, its absence is an error.
struct NamedBackend {
  std::string name;
  std::shared_ptr<const Backend> backend;
};

inline std::vector<NamedBackend> all_backends() {
  std::vector<NamedBackend> backends;
  for (const cpu::KernelTable* kernels : cpu::usable_kernels()) {
    backends.push_back({std::string("cpu_") + kernels->instruction_set, cpu::make_backend(*kernels)});
  }
  const char* required = std::getenv("HALFTONE_REQUIRE_GPU");
  const bool usable = api::describe_gpus().front().usable;
  if (usable || (required != nullptr && std::string_view(required) == "1")) {
    backends.push_back({"cuda", api::open_backend("cuda", std::uint64_t{1} << 30)});
  }
  return backends;
}

/// Those whose engines of learned rounding differ: that of the processor is the same for all instruction sets.
inline std::vector<NamedBackend> backends_with_engines() {
  std::vector<NamedBackend> backends = all_backends();
  std::erase_if(backends, [&](const NamedBackend& backend) { return backend.name.starts_with("cpu_") && &backend != &backends.front(); });
  return backends;
}

/// A format, a backend and a source type: every law holds for every combination.
struct LawCase {
  const FormatDescriptor* format;
  NamedBackend backend;
  Dtype source;
};

inline std::vector<LawCase> all_cases() {
  std::vector<LawCase> cases;
  for (const FormatDescriptor* format : all_formats()) {
    for (const NamedBackend& backend : all_backends()) {
      if (!backend.backend->supports(default_spec(*format), Dtype::BF16)) continue;
      for (const Dtype source : {Dtype::F64, Dtype::F32, Dtype::BF16, Dtype::F16}) cases.push_back({format, backend, source});
    }
  }
  return cases;
}

inline std::string identifier(std::string text) {
  for (char& c : text) {
    if (c == '-') c = '_';
  }
  return text;
}

inline std::ostream& operator<<(std::ostream& out, const LawCase& law) {
  return out << identifier(std::string(law.format->name())) << "_" << law.backend.name << "_" << name_of(law.source);
}

/// A weight in the source type, and the binary32 values that it stands for.
struct Weight {
  std::uint64_t rows = 0;
  std::uint64_t columns = 0;
  Dtype dtype{};
  std::vector<std::byte> bytes;
  std::vector<float> values;

  [[nodiscard]] MatrixView view() const { return {bytes.data(), dtype, rows, columns}; }
};

/// Stores `values` as `dtype`; what the type cannot hold is rounded to nearest.
inline Weight make_weight(std::uint64_t rows, std::uint64_t columns, Dtype dtype, const std::vector<float>& values) {
  Weight weight{rows, columns, dtype, {}, {}};
  const auto append = [&](auto raw) {
    const auto* first = reinterpret_cast<const std::byte*>(&raw);
    weight.bytes.insert(weight.bytes.end(), first, first + sizeof raw);
  };
  for (const float value : values) {
    if (dtype == Dtype::F64) append(static_cast<double>(value));
    if (dtype == Dtype::F32) append(value);
    if (dtype == Dtype::BF16) append(codec::Bf16::encode(value));
    if (dtype == Dtype::F16) append(codec::F16::encode(value));
    if (dtype == Dtype::BF16) weight.values.push_back(codec::Bf16::decode(codec::Bf16::encode(value)));
    if (dtype == Dtype::F16) weight.values.push_back(codec::F16::decode(codec::F16::encode(value)));
    if (dtype == Dtype::F64 || dtype == Dtype::F32) weight.values.push_back(value);
  }
  return weight;
}

/// Gaussian values with a few zeros of both signs and a few outliers, the same on every run.
inline std::vector<float> sample_values(std::uint64_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.02F);
  std::vector<float> values(n);
  for (std::uint64_t i = 0; i < n; ++i) {
    values[i] = normal(random);
    if (i % 37 == 5) values[i] = 0.0F;
    if (i % 41 == 7) values[i] = -0.0F;
    if (i % 101 == 3) values[i] *= 40.0F;
  }
  return values;
}

/// What quantizing a whole weight gives.
struct Quantized {
  std::vector<std::byte> codes;
  std::vector<std::byte> scales;
  float amax = 0;  ///< that the scale of the whole weight is made from
  float tensor_scale = 1.0F;
  friend bool operator==(const Quantized&, const Quantized&) = default;
};

/// The magnitude that the scale of the whole weight is made from: the largest, or what a search puts in its place.
inline float scaled_amax(const Backend& backend, const QuantSpec& spec, const Weight& weight, std::uint64_t band_rows) {
  const float amax = codec::from_bits(backend.max_magnitude(weight.view()));
  if (!exec::CandidateErrors::are_needed(spec)) return amax;
  exec::CandidateErrors errors(backend, spec, amax);
  for (std::uint64_t row = 0; row < weight.rows; row += band_rows) {
    const std::byte* data = weight.bytes.data() + row * weight.columns * bits_of(weight.dtype) / 8;
    errors.add({data, weight.dtype, std::min(band_rows, weight.rows - row), weight.columns});
  }
  return errors.best_amax();
}

/// Quantizes `weight` in bands of `band_rows` rows, as the executor does.
inline Quantized quantize(const Backend& backend, const QuantSpec& spec, const Weight& weight, std::uint64_t band_rows) {
  BandBuffers buffers(spec, weight.rows, weight.columns);
  const float amax = scaled_amax(backend, spec, weight, band_rows);
  const std::uint64_t row_bytes = weight.columns * bits_of(weight.dtype) / 8;
  for (std::uint64_t row = 0; row < weight.rows; row += band_rows) {
    const std::uint64_t rows = std::min(band_rows, weight.rows - row);
    const MatrixView band{weight.bytes.data() + row * row_bytes, weight.dtype, rows, weight.columns};
    backend.quantize(spec, band, amax,
                     {buffers.codes.data() + buffers.layout.code_bytes(row), buffers.scales.data() + buffers.layout.scale_bytes(row)});
  }
  return {std::move(buffers.codes), std::move(buffers.scales), amax, tensor_scale(*spec.format, amax)};
}

/// The values that the codes and scales stand for.
inline std::vector<float> dequantize(const Backend& backend, const QuantSpec& spec, const Weight& weight, const Quantized& quantized) {
  std::vector<float> values(weight.rows * weight.columns);
  backend.dequantize(spec, {quantized.codes.data(), spec.format->facts().code_dtype, weight.rows, weight.columns}, quantized.scales.data(),
                     quantized.tensor_scale, values.data());
  return values;
}

}  // namespace halftone::test
