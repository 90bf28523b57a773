#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <halftone/learn.hpp>

namespace halftone::api {

/// What came of a layer that learned, as a line of JSON without its end, for a journal: all but the name of its tensor, which
/// the plan knows.
[[nodiscard]] std::string record_of(const LearnedLayer& layer);
/// The layer that record_of() made `record` of, without its tensor; nothing where the text is another.
[[nodiscard]] std::optional<LearnedLayer> layer_from(std::string_view record);

}  // namespace halftone::api
