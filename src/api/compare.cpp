#include <halftone/compare.hpp>

#include "cpu/cpu_backend.hpp"
#include "eval/compare_models.hpp"

namespace halftone {

Comparison compare_models(const std::filesystem::path& original, const std::filesystem::path& other, unsigned threads) {
  const auto backend = cpu::make_backend();
  return eval::compare_models(eval::FloatModel(original, *backend), eval::FloatModel(other, *backend), threads);
}

}  // namespace halftone
