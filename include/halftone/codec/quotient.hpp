#pragma once

#include <halftone/codec/device.hpp>
#include <halftone/codec/hd.hpp>

namespace halftone::codec {

/// fl(value / divisor), to be rounded to a code: `divisor` is at least 0, `value` at most 2^20 times as large.  On a GPU
/// quotients below 2^-60, which are near no limit between two codes, may be off in their last place.
[[nodiscard]] HALFTONE_HD float quotient(float value, float divisor) {
#if HALFTONE_DEVICE_CONVERSIONS
  return device::quotient(value, divisor);
#else
  return value / divisor;
#endif
}

/// The same for a divisor from 2^-60 to 2^126.
[[nodiscard]] HALFTONE_HD float ordinary_quotient(float value, float divisor) {
#if HALFTONE_DEVICE_CONVERSIONS
  return device::ordinary_quotient(value, divisor);
#else
  return value / divisor;
#endif
}

}  // namespace halftone::codec
