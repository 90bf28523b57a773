#pragma once

#include <filesystem>
#include <vector>

// What the NVIDIA driver reads from the environment when it starts: to be called before anything looks for GPUs, while no
// other thread looks at the environment.

namespace halftone::tool {

/// Lets a program have fewer connections to a GPU than the driver would open, each of which takes time at its start and at its
/// end, unless the user has said how many.
void open_few_connections();

/// Whether the driver tells, in files below `driver`, of several GPUs of one model, none of which is cut into instances (MIG).
/// The driver need not start for that.
[[nodiscard]] bool gpus_are_alike(const std::filesystem::path& driver);

/// Hides the GPUs behind the last one of `ordinals` from the driver, which takes longer to start and to end the more it
/// shows.  The numbers of the others stay as they are.  Without ordinals any GPU will do: where all are alike, the first.
void hide_gpus_behind(const std::vector<int>& ordinals, const std::filesystem::path& driver = "/proc/driver/nvidia");

}  // namespace halftone::tool
