#pragma once

#include <string>
#include <vector>

#include <halftone/migrate.hpp>

#include "formats/quantization_metadata.hpp"
#include "formats/stored_layers.hpp"
#include "plan/rewrite/rewrite.hpp"

namespace halftone::plan {

/// Brings the quantized layers of a file up to date, one after the other.
class LayerMigration {
 public:
  /// All but `options` are changed or must outlive this.
  LayerMigration(Rewrite& rewrite, formats::HeaderLabels& header, const ModelIndex& model, const SideTexts& texts,
                 const MigrateOptions& options)
      : rewrite_(rewrite), header_(header), model_(model), texts_(texts), options_(options) {}

  /// Decides what becomes of a layer's tensors and labels, and notes it as a change.
  /// Throws bad_quantization or unsupported where the layer must be understood and is not.
  void migrate(const formats::QuantizedLayer& layer);

  /// The format that the layer has afterwards: of the layers that migrate() saw, by their order; null for
  /// one that is left alone and that Halftone does not read.
  [[nodiscard]] const std::vector<const FormatDescriptor*>& formats() const noexcept { return formats_; }

 private:
  struct Layer;

  /// Gives the tensors of an older layout today's names and shapes.
  void modernise(Layer& layer);
  void change_input_scale(Layer& layer);
  void change_hybrid(Layer& layer);
  void change_container(Layer& layer);
  /// Replaces scales that are quantized themselves.
  void unnest(Layer& layer);
  /// Writes the labels that changed, or that are missing.
  void write_labels(Layer& layer);

  Rewrite& rewrite_;
  formats::HeaderLabels& header_;
  const ModelIndex& model_;
  const SideTexts& texts_;
  MigrateOptions options_;
  std::vector<const FormatDescriptor*> formats_;
};

}  // namespace halftone::plan
