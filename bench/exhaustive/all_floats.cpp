// All 2^32 binary32 patterns through the codecs and the CPU kernels:
//   1. every codec against a search among the midpoints of its own values, which shares nothing
//      with the codec's arithmetic;
//   2. every format's kernel of every instruction set against the baseline's bytes;
//   3. kernels that multiply BF16 weights, against the baseline's bytes for every factor.
// Exits with 1 and the first mismatch.  Minutes on two cores; too long for every test run.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <thread>
#include <vector>

#include <halftone/codec/codebook.hpp>
#include <halftone/codec/half.hpp>
#include <halftone/codec/integer.hpp>
#include <halftone/codec/minifloat.hpp>

#include "base/parallel.hpp"
#include "cpu/cpu_backend.hpp"

namespace {

using namespace halftone;

constexpr std::uint64_t kPatterns = std::uint64_t{1} << 32;
constexpr std::uint64_t kChunk = std::uint64_t{1} << 22;

/// The codes of an increasing list of values 0 = v0 < v1 < …: nearest value, ties to the even code.
class Search {
 public:
  explicit Search(const std::vector<double>& values) {
    for (std::size_t i = 0; i + 1 < values.size(); ++i) midpoints_.push_back((values[i] + values[i + 1]) / 2);
  }
  [[nodiscard]] std::uint32_t operator()(double magnitude) const {
    const auto at = std::lower_bound(midpoints_.begin(), midpoints_.end(), magnitude);
    auto code = static_cast<std::uint32_t>(at - midpoints_.begin());
    if (at != midpoints_.end() && *at == magnitude && code % 2 == 1) ++code;
    return code;
  }

 private:
  std::vector<double> midpoints_;
};

template <class Decode>
std::vector<double> values_of(std::uint32_t codes, const Decode& decode) {
  std::vector<double> values;
  for (std::uint32_t code = 0; code < codes; ++code) values.push_back(static_cast<double>(decode(code)));
  return values;
}

std::atomic<bool> g_failed{false};

/// Calls check(pattern) -> pair(found, expected) for every pattern that is no NaN.
template <class Check>
void for_all(const char* name, const Check& check) {
  base::parallel_for(kPatterns / kChunk, std::thread::hardware_concurrency(), [&](std::size_t chunk) {
    for (std::uint64_t p = chunk * kChunk; p < (chunk + 1) * kChunk && !g_failed; ++p) {
      const auto pattern = static_cast<std::uint32_t>(p);
      if ((pattern & codec::kMagnitudeMask) > codec::kInfinityBits) continue;
      const auto [found, expected] = check(pattern);
      if (found == expected) continue;
      g_failed = true;
      std::printf("%s: pattern %08x (%g) gives %x, expected %x\n", name, pattern, static_cast<double>(codec::from_bits(pattern)), found,
                  expected);
    }
  });
  std::printf("%-12s %s\n", name, g_failed ? "FAILED" : "equal over all patterns that are no NaN");
}

template <class Codec>
void check_saturating(const char* name, std::uint32_t finite_codes) {
  const Search search(values_of(finite_codes, [](std::uint32_t code) { return Codec::decode(static_cast<std::uint8_t>(code)); }));
  for_all(name, [&](std::uint32_t pattern) {
    const float value = codec::from_bits(pattern);
    const std::uint32_t code = search(std::fabs(static_cast<double>(value)));
    return std::pair(Codec::encode_saturating(value), code | ((pattern >> Codec::kSignShift) & Codec::kSign));
  });
}

template <class Integer>
void check_integer(const char* name, std::uint32_t codes) {
  const Search search(values_of(codes, [](std::uint32_t code) { return Integer::decode(static_cast<std::uint8_t>(code)); }));
  for_all(name, [&](std::uint32_t pattern) {
    const float value = codec::from_bits(pattern);
    const std::uint32_t code = search(std::fabs(static_cast<double>(value)));
    return std::pair(Integer::encode_saturating(value), (value < 0 ? 0U - code : code) & Integer::kMask);
  });
}

/// A table by trying all of its levels: the nearest in binary32, the first of equally near ones.
template <class Table>
void check_table(const char* name) {
  for_all(name, [](std::uint32_t pattern) {
    const float value = codec::from_bits(pattern);
    if (codec::magnitude(value) > 1.0F) return std::pair(0U, 0U);
    std::uint32_t best = 0;
    for (std::uint32_t code = 1; code < 16; ++code) {
      if (codec::magnitude(value - Table::level(code)) < codec::magnitude(value - Table::level(best))) best = code;
    }
    return std::pair(Table::encode(value), best);
  });
}

/// The 16-bit floats overflow to infinity, whose code follows the largest finite one.
template <class Half>
void check_half(const char* name, std::uint32_t infinity_code, double after_largest) {
  std::vector<double> values = values_of(infinity_code, [](std::uint32_t code) { return Half::decode(static_cast<std::uint16_t>(code)); });
  values.push_back(after_largest);
  const Search search(values);
  for_all(name, [&](std::uint32_t pattern) {
    const float value = codec::from_bits(pattern);
    const std::uint32_t code = search(std::fabs(static_cast<double>(value)));
    return std::pair(static_cast<std::uint32_t>(Half::encode(value)), code | ((pattern >> 16) & 0x8000U));
  });
}

void check_kernels() {
  const cpu::KernelTable& baseline = *cpu::usable_kernels().back();
  for (const cpu::KernelTable* kernels : cpu::usable_kernels()) {
    if (kernels == &baseline) continue;
    base::parallel_for(kPatterns / kChunk, std::thread::hardware_concurrency(), [&](std::size_t chunk) {
      std::vector<std::uint32_t> patterns(kChunk);
      for (std::uint64_t i = 0; i < kChunk; ++i) {
        const auto pattern = static_cast<std::uint32_t>(chunk * kChunk + i);
        patterns[i] = (pattern & codec::kMagnitudeMask) > codec::kInfinityBits ? 0 : pattern;
      }
      std::vector<std::byte> expected(kChunk);
      std::vector<std::byte> found(kChunk);
      const auto* source = reinterpret_cast<const std::byte*>(patterns.data());
      const std::vector<float> operands(kChunk / 16, 1.0F);  // one for each run, or more than are needed
      for (const FormatDescriptor* format : all_formats()) {
        baseline.encode[format->index()][formats::kF32](source, kChunk, kChunk, operands.data(), expected.data(), 0);
        kernels->encode[format->index()][formats::kF32](source, kChunk, kChunk, operands.data(), found.data(), 0);
        if (found == expected) continue;
        g_failed = true;
        std::printf("%s of %s differs from the baseline in chunk %zu\n", std::string(format->name()).c_str(), kernels->instruction_set,
                    chunk);
      }
    });
    std::printf("%-12s %s\n", kernels->instruction_set, g_failed ? "FAILED" : "gives the bytes of the baseline");
  }
}

/// Kernels that multiply BF16 weights, with every finite positive factor: as the first weight is 1, every
/// magnitude of a product is among the results.
void check_products() {
  constexpr std::uint64_t group = 32;  // what a vector takes
  constexpr std::uint64_t step = std::uint64_t{1} << 18;
  std::vector<std::uint16_t> weights(step * group);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<std::uint16_t>(0x3F80 + i % group * 129 % 0x400 + (i % group >= group / 2 ? 0x8000 : 0));
  }
  const auto* source = reinterpret_cast<const std::byte*>(weights.data());
  const auto tables = cpu::usable_kernels();
  base::parallel_for(codec::kInfinityBits / step, std::thread::hardware_concurrency(), [&](std::size_t chunk) {
    std::vector<float> factors(step);
    for (std::uint64_t i = 0; i < step; ++i) factors[i] = codec::from_bits(static_cast<std::uint32_t>(chunk * step + i));
    std::vector<std::byte> expected(weights.size());
    std::vector<std::byte> found(weights.size());
    for (const std::string_view name : {"fp8", "fp8-e5m2", "int8"}) {
      const std::size_t format = find_format(name)->index();
      tables.back()->encode[format][formats::kBf16](source, weights.size(), group, factors.data(), expected.data(), 0);
      for (const cpu::KernelTable* kernels : tables) {
        kernels->encode[format][formats::kBf16](source, weights.size(), group, factors.data(), found.data(), 0);
        if (found == expected) continue;
        g_failed = true;
        std::printf("products of %s of %s differ from the baseline in chunk %zu\n", std::string(name).c_str(), kernels->instruction_set,
                    chunk);
      }
    }
  });
  std::printf("%-12s %s\n", "products", g_failed ? "FAILED" : "of BF16 weights with every factor give the bytes of the baseline");
}

}  // namespace

int main() {
  check_saturating<codec::E4M3>("e4m3", 0x7F);
  check_saturating<codec::E5M2>("e5m2", 0x7C);
  check_saturating<codec::E2M1>("e2m1", 0x8);
  check_integer<codec::Int8>("int8", 128);
  check_integer<codec::Int4>("int4", 8);
  check_table<codec::Nf4>("nf4");
  check_table<codec::Fp4>("fp4");
  check_half<codec::Bf16>("bf16", 0x7F80, 0x1p128);
  check_half<codec::F16>("f16", 0x7C00, 65536.0);
  check_kernels();
  check_products();
  return g_failed ? 1 : 0;
}
