// Engine::search_scales(): a thread adds up the errors of a group with one candidate, in the order of the CPU.

#include "learn/scale_search.hpp"

#include <array>
#include <limits>

#include "formats/all_formats.hpp"
#include "learn/row_loops.cuh"
#include "learn/weighted_search.hpp"

namespace halftone::cuda {
namespace {

using learn::CodeTables;
using learn::Levels;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

/// The numbers of a search; all pointers are to device memory.
struct SearchArgs {
  std::uint64_t rows;  ///< of the layout
  std::uint64_t columns;
  std::uint64_t elements;
  std::uint64_t group_rows;
  std::uint64_t group_columns;
  std::uint64_t across;       ///< groups side by side that have elements
  std::uint64_t scales_down;  ///< scales from one row of groups to the next
  std::uint64_t groups;
  std::uint64_t weight_columns;
  const float* weight;
  const float* column_weights;
  float tensor_scale;
  CodeTables tables;
  std::byte* scales;
  std::uint8_t* levels;
};

SearchArgs args_of(const learn::WeightedSearch& search) {
  const formats::LayerLayout& layout = search.layout;
  SearchArgs args{.rows = layout.rows(),
                  .columns = layout.columns(),
                  .elements = layout.elements(),
                  .group_rows = layout.group_rows(),
                  .group_columns = layout.group_columns(),
                  .across = (layout.columns() + layout.group_columns() - 1) / layout.group_columns(),
                  .scales_down = layout.groups_across(),
                  .groups = 0,
                  .weight_columns = search.columns,
                  .weight = search.weight,
                  .column_weights = search.column_weights,
                  .tensor_scale = search.tensor_scale,
                  .tables = search.tables,
                  .scales = search.scales,
                  .levels = search.levels};
  args.groups = args.across * ((args.rows + args.group_rows - 1) / args.group_rows);
  return args;
}

/// Where the elements of a group lie.
struct Part {
  std::uint64_t row;
  std::uint64_t column;
  std::uint64_t height;
  std::uint64_t width;

  __device__ Part(const SearchArgs& args, std::uint64_t group)
      : row(group / args.across * args.group_rows),
        column(group % args.across * args.group_columns),
        height(lower(args.rows - row, args.group_rows)),
        width(lower(args.columns - column, args.group_columns)) {}

  /// Calls function(place, column of the weight) for the elements `first`, first + step … of each row of the group.
  template <class Function>
  __device__ void for_each(const SearchArgs& args, unsigned first, unsigned step, const Function& function) const {
    for (std::uint64_t r = row; r < row + height; ++r) {
      const std::uint64_t begin = r * args.columns + column;
      std::uint64_t of_weight = (begin + first) % args.weight_columns;
      for (std::uint64_t i = first; i < width && begin + i < args.elements; i += step) {
        function(begin + i, of_weight);
        of_weight += step;
        while (of_weight >= args.weight_columns) of_weight -= args.weight_columns;
      }
    }
  }

 private:
  [[nodiscard]] static __device__ std::uint64_t lower(std::uint64_t a, std::uint64_t b) { return a < b ? a : b; }
};

/// Tables that every thread looks into.
struct SharedLevels {
  float values[Levels::kMost];
  float thresholds[Levels::kMost];

  __device__ void load(const Levels& levels) {
    for (unsigned i = threadIdx.x; i < Levels::kMost; i += blockDim.x) {
      values[i] = levels.values[i];
      thresholds[i] = levels.thresholds[i];
    }
  }
};

__device__ double error_of(const SearchArgs& args, const Part& part, const SharedLevels& levels, float operand) {
  double sum = 0;
  part.for_each(args, 0, 1, [&](std::uint64_t at, std::uint64_t column) {
    const float weight = args.weight[at];
    const float value = operand > 0.0F ? levels.values[learn::nearest_level(levels.thresholds, weight / operand)] * operand : 0.0F;
    const auto error = static_cast<double>(value - weight);
    sum += static_cast<double>(args.column_weights[column]) * error * error;
  });
  return sum;
}

/// The threads of a block take as many groups at a time as each candidate of all of them has a thread.
template <class Format>
__global__ void __launch_bounds__(kRowThreads) search_kernel(SearchArgs args) {
  using Scale = decltype(formats::group_scale<Format>(1.0F, 1.0F));
  constexpr unsigned candidates = formats::kCandidatesOf<Format>;
  constexpr unsigned at_once = kRowThreads / candidates;
  static_assert(at_once > 0);
  __shared__ SharedLevels levels;
  __shared__ std::uint32_t largest[at_once];
  __shared__ double errors[at_once][candidates];
  __shared__ Scale chosen[at_once];
  levels.load(*args.tables.levels);
  const unsigned own = threadIdx.x / candidates;
  const unsigned candidate = threadIdx.x % candidates;
  for (std::uint64_t first = std::uint64_t{blockIdx.x} * at_once; first < args.groups; first += std::uint64_t{gridDim.x} * at_once) {
    const std::uint64_t group = first + own;
    const bool exists = own < at_once && group < args.groups;
    const Part part(args, exists ? group : 0);
    if (threadIdx.x < at_once) largest[threadIdx.x] = 0;
    __syncthreads();
    if (exists) {
      std::uint32_t bits = 0;
      part.for_each(args, candidate, candidates, [&](std::uint64_t at, std::uint64_t) {
        const std::uint32_t magnitude = codec::bits(codec::magnitude(args.weight[at]));
        bits = magnitude > bits ? magnitude : bits;
      });
      atomicMax(&largest[own], bits);
    }
    __syncthreads();
    Scale scale{};
    if (exists) {
      scale = formats::candidate_scale<Format>(codec::from_bits(largest[own]), args.tensor_scale, static_cast<int>(candidate));
      errors[own][candidate] = error_of(args, part, levels, formats::decode_operand<Format>(scale.stored, args.tensor_scale));
    }
    __syncthreads();
    if (exists) {
      unsigned best = candidates;
      double least = kInfinity;
      for (unsigned other = 0; other < candidates; ++other) {
        if (!(errors[own][other] < least)) continue;
        least = errors[own][other];
        best = other;
      }
      if (candidate == best % candidates) {
        chosen[own] = best == candidates ? Scale{} : scale;
        const std::uint64_t place = group / args.across * args.scales_down + group % args.across;
        reinterpret_cast<formats::StoredScale<Format>*>(args.scales)[place] = chosen[own].stored;
      }
    }
    __syncthreads();
    if (!exists) continue;
    const float operand = chosen[own].encode;
    part.for_each(args, candidate, candidates, [&](std::uint64_t at, std::uint64_t) {
      args.levels[at] = args.tables.level_of->level[static_cast<std::uint8_t>(Format::encode(args.weight[at], operand))];
    });
  }
}

using Launch = void (*)(const SearchArgs&, cudaStream_t);

template <class Format>
void launch(const SearchArgs& args, cudaStream_t stream) {
  constexpr std::uint64_t at_once = kRowThreads / formats::kCandidatesOf<Format>;
  const std::uint64_t wanted = (args.groups + at_once - 1) / at_once;
  search_kernel<Format><<<static_cast<unsigned>(wanted < kMostBlocks ? wanted : kMostBlocks), kRowThreads, 0, stream>>>(args);
}

/// Null for formats whose groups have no scales of their own, or whose rows have some besides.
template <class Format>
[[nodiscard]] constexpr Launch launch_of() {
  constexpr bool has_groups = Format::kGrid != ScaleGrid::none && Format::kGrid != ScaleGrid::tensor;
  if constexpr (has_groups && !formats::RowScaled<Format>) {
    return launch<Format>;
  } else {
    return nullptr;
  }
}

}  // namespace

bool launch_search_scales(const learn::WeightedSearch& search, cudaStream_t stream) {
  static constexpr std::array table = {
#define HALFTONE_FORMAT(folder) launch_of<formats::folder::Format>(),
#include "formats/formats.def"
#undef HALFTONE_FORMAT
  };
  const Launch start = table[search.spec.format->index()];
  if (start == nullptr) return false;
  if (search.layout.elements() == 0) return true;
  start(args_of(search), stream);
  check_launch("search the scales of groups");
  return true;
}

}  // namespace halftone::cuda
