#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <halftone/learn.hpp>

namespace halftone::api {

/// What came of a layer that learned, as the note of a record in a journal, a line of JSON: all but the name of its tensor,
/// which the plan knows.
[[nodiscard]] std::string note_of(const LearnedLayer& layer);
/// The layer that note_of() made `note` of, without its tensor; nothing where the text is another.
[[nodiscard]] std::optional<LearnedLayer> layer_from(std::string_view note);

}  // namespace halftone::api
