#include "eval/stored_alike.hpp"

#include <algorithm>

namespace halftone::eval {
namespace {

bool same_bytes(const FloatModel& original, const FloatModel& other, const ModelTensor& a, const ModelTensor& b) {
  if (a.info.dtype != b.info.dtype || a.info.shape != b.info.shape) return false;
  const auto left = original.files().bytes(a);
  const auto right = other.files().bytes(b);
  return std::equal(left.begin(), left.end(), right.begin(), right.end());
}

}  // namespace

bool stored_alike(const FloatModel& original, const FloatModel& other, const Pair& pair) {
  if (!same_bytes(original, other, *pair.original, *pair.other)) return false;
  const auto* a = original.layer(pair.original->info.name);
  const auto* b = other.layer(pair.other->info.name);
  if (a == nullptr || b == nullptr) return a == b;
  if (a->companions != b->companions) return false;
  return std::all_of(a->companions.begin(), a->companions.end(), [&](const std::string& name) {
    return same_bytes(original, other, *original.files().index().find(name), *other.files().index().find(name));
  });
}

}  // namespace halftone::eval
