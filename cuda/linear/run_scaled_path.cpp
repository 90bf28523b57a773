#include "formats/layer_layout.hpp"
#include "launch_table.hpp"
#include "linear/device_weight.hpp"
#include "linear/product_path.hpp"
#include "linear/tiled_scales.hpp"

namespace halftone::cuda {
namespace {

/// The first architecture whose tensor cores take scales of runs.
constexpr int kBlackwell = 100;
constexpr std::uint64_t kAlignment = 32;

/// NVFP4 and MXFP8: codes of runs with codes of runs.  The scales of the weight lie in the file as the library wants them.
/// NVFP4 has the codes of a byte in the other order than the library, for both operands alike, so that no sum changes.
class RunScaledPath : public ProductPath {
 public:
  RunScaledPath(const LinearLane& lane, const LinearLayer& layer, halftone::Activations activations)
      : weight_(lane, layer), tiles_(uploaded(lane, layer.scales)), activations_(activations) {
    facts_.spec = layer.spec;
    facts_.input_scale = layer.input_scale;
  }

  [[nodiscard]] std::string method() const override { return method_of(weight_.spec()); }

  [[nodiscard]] bool prepare(LinearLane& lane, const Inputs& inputs) override {
    const Rooms rooms(lane, weight_.spec(), inputs);
    QuantizeArgs args{.source = inputs.x,
                      .rows = inputs.rows,
                      .columns = inputs.columns,
                      .codes = rooms.codes,
                      .scales = rooms.natural,
                      .largest = lane.words()};
    if (two_level()) {
      const WholeScale whole = whole_scale(lane, inputs, facts_, activations_);
      launch_tensor_factor(whole, weight_.tensor_scale(), lane.words(), factor(lane), lane.stream());
      args.measured = lane.words();
    }
    launches_of(*weight_.spec().format).quantize[formats::float_index(Dtype::BF16)](args, lane.stream());
    launch_tiled(reinterpret_cast<const std::uint8_t*>(rooms.natural), inputs.rows, rooms.layout.groups_across(), rooms.tiles,
                 lane.stream());
    return true;
  }

  [[nodiscard]] bool multiply(LinearLane& lane, const Inputs& inputs, const Outputs& outputs) override {
    const Rooms rooms(lane, weight_.spec(), inputs);
    const Scaling scaling = two_level() ? Scaling::runs_16 : Scaling::runs_32;
    const cudaDataType_t type = two_level() ? CUDA_R_4F_E2M1 : CUDA_R_8F_E4M3;
    return lane.multiply({.m = inputs.rows,
                          .n = weight_.rows(),
                          .k = weight_.columns(),
                          .x = {.type = type, .scaling = scaling, .data = rooms.codes, .scales = rooms.tiles},
                          .w = {.type = type, .scaling = scaling, .data = weight_.codes(), .scales = tiles_.data()},
                          .alpha = two_level() ? factor(lane) : nullptr},
                         weight_.bias(), outputs.type, outputs.y);
  }

 private:
  struct Rooms {
    Rooms(LinearLane& lane, const QuantSpec& spec, const Inputs& inputs)
        : layout(spec, inputs.rows, inputs.columns),
          codes(lane.room<std::uint8_t>(Room::codes, layout.code_bytes(inputs.rows))),
          natural(lane.room<std::byte>(Room::scales, layout.scale_bytes(inputs.rows))),
          tiles(lane.room<std::uint8_t>(Room::tiles, formats::Swizzle(layout.groups_across()).bytes(inputs.rows))) {}

    formats::LayerLayout layout;
    std::uint8_t* codes;
    std::byte* natural;
    std::uint8_t* tiles;
  };

  [[nodiscard]] bool two_level() const { return weight_.spec().format->storage().two_level; }
  /// The product of the scales of the whole matrices, and a 0.
  [[nodiscard]] static float* factor(LinearLane& lane) { return reinterpret_cast<float*>(lane.words() + kFactorWords); }

  DeviceWeight weight_;
  DeviceBuffer tiles_;
  LinearLayer facts_;  ///< without its tensors
  halftone::Activations activations_;
};

}  // namespace

std::unique_ptr<ProductPath> run_scaled_path(const LinearLane& lane, const LinearLayer& layer, halftone::Activations activations) {
  if (lane.architecture() < kBlackwell || layer.rows % kAlignment != 0 || layer.columns % kAlignment != 0) return nullptr;
  return std::make_unique<RunScaledPath>(lane, layer, activations);
}

}  // namespace halftone::cuda
