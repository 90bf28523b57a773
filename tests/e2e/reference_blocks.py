"""The block-scaled, rotated and 4-bit formats in numpy, written from the format specification.

As in reference.py every arithmetic operation is a separate float32 operation, and nothing is shared with the program
under test. `convert` makes the tensors of an output file; `restore` makes weights of such tensors again, whoever wrote
them, and knows nothing but what they say.
"""
from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, Callable, Mapping

import numpy as np

import reference
from reference import E4M3, F32, decode, encode
from safetensors_file import Tensor

ROTATED = ("int8-convrot", "w4a4-convrot", "w4a8")
FOUR_BIT = ("nf4", "fp4", "nf4-bnb", "fp4-bnb")
COMFY_NAME = {"nvfp4": "nvfp4", "mxfp8": "mxfp8", "mxfp8-hybrid": "hybrid_mxfp8", "int8-convrot": "int8_tensorwise",
              "w4a4-convrot": "convrot_w4a4", "w4a8": "asym_w4a8_int8"}  # the others have no .comfy_quant
DTYPE_NAME = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}

# Bits of the levels, by code.
NF4 = np.array([0xBF800000, 0xBF3239B1, 0xBF066B30, 0xBECA32A0, 0xBE91A24D, 0xBE3D353F, 0xBDBA7871, 0x00000000,
                0x3DA2FAFF, 0x3E24CAE3, 0x3E7C04DD, 0x3EAD033A, 0x3EE1A4B8, 0x3F1007AB, 0x3F3913B3, 0x3F800000],
               np.uint32).view(F32)
NF4_THRESHOLDS = np.array([0xBF591CD8, 0xBF1C5270, 0xBEEB8480, 0xBEADEA76, 0xBE703CEC, 0xBE0D38BC, 0xBD3A7871,
                           0x3D22FAFF, 0x3DF64862, 0x3E5067E0, 0x3E9582D4, 0x3EC753F9, 0x3F006D04, 0x3F248DAF,
                           0x3F5C89DA], np.uint32).view(F32)
_FP4_HALF = np.array([0x00000000, 0x3BAAAAA4, 0x3E2AAAAB, 0x3E800000, 0x3EAAAAAB, 0x3F000000, 0x3F2AAAAB, 0x3F800000],
                     np.uint32).view(F32)
FP4 = np.concatenate([_FP4_HALF, -_FP4_HALF])  # code 8 is -0
_FP4_BNB_HALF = np.array([0x00000000, 0x3BAAAAAB, 0x3F2AAAAB, 0x3F800000, 0x3EAAAAAB, 0x3F000000, 0x3E2AAAAB, 0x3E800000],
                         np.uint32).view(F32)
FP4_BNB = np.concatenate([_FP4_BNB_HALF, F32([0]), -_FP4_BNB_HALF[1:]])  # code 8 is +0
FP4_BNB_THRESHOLDS = F32([0.00260417, 0.0859375, 0.20833333, 0.29166667, 0.4166667, 0.583333, 0.8333333])
FP4_BNB_ASCENDING = np.array([0, 1, 6, 7, 4, 5, 2, 3], np.uint8)  # codes by magnitude
W4A8 = np.array([0xBF7B08BC, 0xBF4B6641, 0xBF235EC8, 0xBF00409E, 0xBEC13038, 0xBE86C072, 0xBE1EEF5F, 0xBD4FBFC6,
                 0x3D57353B, 0x3E20C0AD, 0x3E87D34E, 0x3EC25226, 0x3F00ACC1, 0x3F23926C, 0x3F4B7CFE, 0x3F7B0D41],
                np.uint32).view(F32)
E2M1 = F32([0, 0.5, 1, 1.5, 2, 3, 4, 6])
LEVELS = {"nf4": NF4, "fp4": FP4, "nf4-bnb": NF4, "fp4-bnb": FP4_BNB}


@dataclass(frozen=True)
class Layer:
    """A weight to quantize, and the options that its format may use."""
    name: str
    dtype: str
    weight: np.ndarray  # float32
    fmt: str
    block_size: int
    rotation_group: int
    group_size: int = 16

    @property
    def base(self) -> str:
        return self.name.removesuffix(".weight")


def floats(values: np.ndarray) -> Tensor:
    return Tensor("F32", tuple(np.shape(values)), np.asarray(values, "<f4").tobytes())


def octets(values: np.ndarray, dtype: str) -> Tensor:
    return Tensor(dtype, tuple(values.shape), values.tobytes())


def text(entry: Mapping[str, Any]) -> Tensor:
    data = json.dumps(entry).encode()
    return Tensor("U8", (len(data),), data)


def round_up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


def pad(values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Zeros to the right and below, to multiples of `rows` and `columns`."""
    extra = [(0, round_up(extent, multiple) - extent) for extent, multiple in zip(values.shape, (rows, columns))]
    return np.pad(values, extra)


def blocks(values: np.ndarray, block_size: int) -> np.ndarray:
    """The flattened values as rows of `block_size`, zeros after the last."""
    return pad(values.reshape(1, -1), 1, block_size).reshape(-1, block_size)


def swizzled_offsets(rows: int, columns: int) -> np.ndarray:
    """Where the 128x4 layout stores each scale of a matrix whose extents are multiples of 128 and 4."""
    r, c = np.ogrid[:rows, :columns]
    tile = (r // 128) * (columns // 4) + c // 4
    return tile * 512 + r % 32 * 16 + r % 128 // 32 * 4 + c % 4


def swizzle(scales: np.ndarray) -> np.ndarray:
    padded = pad(scales, 128, 4)
    stored = np.empty(padded.size, np.uint8)
    stored[swizzled_offsets(*padded.shape)] = padded
    return stored.reshape(padded.shape)


def unswizzle(stored: np.ndarray, rows: int, columns: int) -> np.ndarray:
    return stored.reshape(-1)[swizzled_offsets(*stored.shape)][:rows, :columns]


def pack(codes: np.ndarray, first_high: bool) -> np.ndarray:
    """Two 4-bit codes in a byte; `first_high`: the first of each two in the upper half."""
    first, second = codes[..., 0::2].astype(np.uint8) & 15, codes[..., 1::2].astype(np.uint8) & 15
    return first << 4 | second if first_high else second << 4 | first


def unpack(packed: np.ndarray, first_high: bool) -> np.ndarray:
    low, high = packed & 15, packed >> 4
    pairs = np.stack([high, low] if first_high else [low, high], axis=-1)
    return pairs.reshape(*packed.shape[:-1], -1)


def signed_nibbles(packed: np.ndarray) -> np.ndarray:
    """The two's complement values of a packed INT4 weight."""
    codes = unpack(packed.view(np.uint8), first_high=False).astype(np.int8)
    return np.where(codes > 7, codes - 16, codes).astype(np.int8)


def encode_e2m1(values: np.ndarray) -> np.ndarray:
    """Codes of float32 values: nearest, ties to the even code, saturating, sign of zero kept."""
    magnitude = np.abs(values)
    code = np.signbit(values).astype(np.uint8) << 3
    for lower, middle in enumerate((E2M1[1:] + E2M1[:-1]) / F32(2)):
        code += magnitude >= middle if lower % 2 else magnitude > middle
    return code


def decode_e2m1(codes: np.ndarray) -> np.ndarray:
    return np.concatenate([E2M1, -E2M1])[codes]


def rotate(values: np.ndarray, group: int) -> np.ndarray:
    """Each `group` columns times the Hadamard matrix: the radix-4 butterfly, its own inverse."""
    stride = 1
    rotated = values
    while stride < group:
        x0, x1, x2, x3 = np.moveaxis(rotated.reshape(-1, 4, stride), 1, 0)
        quads = (x0 + x1 + x2 - x3, x0 + x1 - x2 + x3, x0 - x1 + x2 + x3, -x0 + x1 + x2 + x3)
        rotated = np.stack([F32(0.5) * quad for quad in quads], axis=1).reshape(values.shape)
        stride *= 4
    return rotated


def label(layer: Layer, **entries: Any) -> dict[str, Tensor]:
    return {layer.base + ".comfy_quant": text({"format": COMFY_NAME[layer.fmt], **entries})}


def padded_label(layer: Layer, group_size: int) -> dict[str, Tensor]:
    return label(layer, group_size=group_size, orig_dtype=f"torch.{DTYPE_NAME[layer.dtype]}",
                 orig_shape=list(layer.weight.shape))


def quantize_nvfp4(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes (one a byte), scale bytes (one a group) and the scale of the tensor."""
    padded = pad(weight, 16, 16)
    groups = padded.reshape(padded.shape[0], -1, 16)
    tensor_scale = np.abs(weight).max() / F32(2688)
    if tensor_scale == 0:
        return np.zeros(padded.shape, np.uint8), np.zeros(groups.shape[:2], np.uint8), F32(1)
    wanted = np.abs(groups).max(axis=2) / F32(6) / tensor_scale
    scales = encode(np.minimum(wanted, F32(448)), E4M3)
    total = (tensor_scale * decode(scales, E4M3))[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        codes = np.where(total == 0, np.uint8(0), encode_e2m1(np.clip(groups / total, F32(-6), F32(6))))
    return codes.reshape(padded.shape), scales, tensor_scale


def nvfp4(layer: Layer) -> dict[str, Tensor]:
    codes, scales, tensor_scale = quantize_nvfp4(layer.weight)
    return {layer.name: octets(pack(codes, first_high=True), "U8"),
            layer.base + ".weight_scale": octets(swizzle(scales), "F8_E4M3"),
            layer.base + ".weight_scale_2": floats(tensor_scale)} | padded_label(layer, 16)


def quantize_mxfp8(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes, and the exponent byte of each group."""
    padded = pad(weight, 32, 32)
    groups = padded.reshape(padded.shape[0], -1, 32)
    fraction, exponent = np.frexp(np.abs(groups).max(axis=2) / F32(448))  # a power of two has the fraction 0.5
    exponents = np.where(fraction > 0, np.clip(exponent - (fraction == 0.5) + 127, 0, 254), 0).astype(np.uint8)
    step = np.ldexp(F32(1), exponents.astype(np.int32) - 127)[:, :, None]
    codes = encode(np.clip(groups / step, F32(-448), F32(448)), E4M3)
    return np.where(exponents[:, :, None] == 0, np.uint8(0), codes).reshape(padded.shape), exponents


def mxfp8(layer: Layer) -> dict[str, Tensor]:
    codes, exponents = quantize_mxfp8(layer.weight)
    out = {layer.name: octets(codes, "F8_E4M3"), layer.base + ".weight_scale": octets(swizzle(exponents), "U8")}
    if layer.fmt == "mxfp8-hybrid":
        largest = int(exponents.max())
        out[layer.base + ".weight_scalar"] = floats(np.ldexp(F32(1), largest - 127) if largest else F32(1))
    return out | padded_label(layer, 32)


def int8_convrot(layer: Layer) -> dict[str, Tensor]:
    result = reference.quantize(rotate(layer.weight, layer.rotation_group), "int8-row")
    return {layer.name: octets(result.codes, "I8"),
            layer.base + ".weight_scale": floats(result.scale.reshape(result.stored_scale_shape)),
            } | label(layer, convrot=True, convrot_groupsize=layer.rotation_group, per_row=True)


def quantize_int4(rotated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed codes, and the scale of each row."""
    amax = np.abs(rotated).max(axis=1)
    if not amax.any():
        return np.zeros(rotated.shape, np.int8), np.ones_like(amax)
    scale = np.maximum(amax, F32(1e-10)) / F32(7)
    return np.clip(np.rint(rotated / scale[:, None]), -7, 7).astype(np.int8), scale


def w4a4_convrot(layer: Layer) -> dict[str, Tensor]:
    codes, scale = quantize_int4(rotate(layer.weight, layer.rotation_group))
    return {layer.name: octets(pack(codes, first_high=False).view(np.int8), "I8"),
            layer.base + ".weight_scale": floats(scale)} | label(layer, convrot_groupsize=layer.rotation_group)


def nearest_of(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The lower of the nearest of ascending levels, which lie along the last axis; each value has 16 of its own, or all the same.

    A value's neighbours are the levels around the place where it would be inserted before its equals.
    """
    place = np.clip((levels < values[..., None]).sum(axis=-1), 1, 15)
    around = np.broadcast_to(levels, (*values.shape, 16))
    below, above = (np.take_along_axis(around, (place - 1 + i)[..., None], axis=-1)[..., 0] for i in (0, 1))
    return (place - 1 + (above - values < values - below)).astype(np.uint8)


def lane_sum(values: np.ndarray) -> np.ndarray:
    """The sum of the last axis: 16 lanes in turn, then the lanes by halves."""
    lanes = F32(0)
    for part in np.moveaxis(pad(values.reshape(-1, values.shape[-1]), 1, 16).reshape(*values.shape[:-1], -1, 16), -2, 0):
        lanes = lanes + part
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def quantize_w4a8(rotated: np.ndarray, group_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, the scale bytes of groups, and the scale of each row."""
    groups = rotated.reshape(rotated.shape[0], -1, group_size)
    smallest = F32(1e-8)
    fitted = np.maximum(np.abs(groups).max(axis=2), smallest)
    for _ in range(2):
        found = W4A8[nearest_of(groups / fitted[:, :, None], W4A8)]
        fitted = np.maximum(lane_sum(groups * found) / np.maximum(lane_sum(found * found), smallest), smallest)
    found = W4A8[nearest_of(groups / fitted[:, :, None], W4A8)]
    row = np.maximum(np.abs(found * fitted[:, :, None]).max(axis=(1, 2)) / F32(127), smallest)
    scales = encode(np.minimum(fitted / row[:, None], F32(448)), E4M3)
    levels = np.clip(np.rint(W4A8 * decode(scales, E4M3)[:, :, None]), -127, 127).astype(F32)
    codes = nearest_of(groups / row[:, None, None], levels[:, :, None, :])
    return codes.reshape(rotated.shape), scales, row


def w4a8(layer: Layer) -> dict[str, Tensor]:
    codes, scales, row = quantize_w4a8(rotate(layer.weight, layer.rotation_group), layer.group_size)
    return {layer.name: octets(pack(codes, first_high=False).view(np.int8), "I8"),
            layer.base + ".weight_s_rel": octets(scales, "F8_E4M3"), layer.base + ".weight_s_channel": floats(row),
            layer.base + ".weight_codebook": floats(W4A8)
            } | label(layer, group_size=layer.group_size, convrot_groupsize=layer.rotation_group)


def nearest_level(values: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """The first of the nearest levels."""
    code = np.zeros(values.shape, np.uint8)
    least = np.abs(values - levels[0])
    for index, level in enumerate(levels[1:], 1):
        distance = np.abs(values - level)
        nearer = distance < least
        code, least = np.where(nearer, np.uint8(index), code), np.where(nearer, distance, least)
    return code


def quantize_four_bit(weight: np.ndarray, kind: str, block_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes in rows of a block, zeros after the last weight included, and the stored scale of each block."""
    grouped = blocks(weight, block_size)
    amax = np.abs(grouped).max(axis=1)
    if not kind.endswith("-bnb"):
        amax = np.maximum(amax, F32(1e-12))
        return nearest_level(grouped / amax[:, None], LEVELS[kind]), amax
    scaled = grouped * (F32(1) / np.maximum(amax, F32(1e-38)))[:, None]
    if kind == "nf4-bnb":
        return np.searchsorted(NF4_THRESHOLDS, scaled, "left").astype(np.uint8), amax
    magnitude = FP4_BNB_ASCENDING[np.searchsorted(FP4_BNB_THRESHOLDS, np.abs(scaled), "left")]
    return magnitude | (scaled < 0).astype(np.uint8) << 3, amax


def four_bit(layer: Layer) -> dict[str, Tensor]:
    kind, bnb = layer.fmt.removesuffix("-bnb"), layer.fmt.endswith("-bnb")
    codes, amax = quantize_four_bit(layer.weight, layer.fmt, layer.block_size)
    packed = pack(codes, first_high=bnb).reshape(-1, 1)
    if bnb:
        packed = packed[:(layer.weight.size + 1) // 2]
    source = {"dtype": DTYPE_NAME[layer.dtype], "shape": list(layer.weight.shape)}
    state = {"quant_type": kind, "blocksize": layer.block_size, **source} if bnb else \
        {**source, "blocksize": layer.block_size, "quant_type": kind}
    return {layer.name: octets(packed, "U8"), layer.name + ".absmax": floats(amax),
            layer.name + ".quant_map": floats(LEVELS[layer.fmt]),
            f"{layer.name}.quant_state.bitsandbytes__{kind}": text(state)}


WRITERS: dict[str, Callable[[Layer], dict[str, Tensor]]] = {
    "nvfp4": nvfp4, "mxfp8": mxfp8, "mxfp8-hybrid": mxfp8, "int8-convrot": int8_convrot, "w4a4-convrot": w4a4_convrot,
    "w4a8": w4a8,
    **{fmt: four_bit for fmt in FOUR_BIT},
}
FORMATS = tuple(WRITERS)


def takes(fmt: str, shape: tuple[int, ...], block_size: int = 64, rotation_group: int = 256, group_size: int = 16) -> bool:
    """Whether the format can hold a weight of this shape."""
    if fmt == "w4a4-convrot":
        return shape[1] % math.lcm(rotation_group, 64) == 0
    if fmt == "w4a8":
        return shape[1] % math.lcm(rotation_group, group_size, 16) == 0
    if fmt == "int8-convrot":
        return shape[1] % rotation_group == 0
    return fmt not in FOUR_BIT or math.prod(shape) >= block_size


def convert(tensors: Mapping[str, Tensor], fmt: str, block_size: int = 64,
            rotation_group: int = 256, group_size: int = 16) -> dict[str, Tensor]:
    """The output of `convert --preset none --indivisible keep`."""
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if reference.is_candidate(name, tensor) and takes(fmt, tensor.shape, block_size, rotation_group, group_size):
            weight = reference.to_float32(tensor)
            out.update(WRITERS[fmt](Layer(name, tensor.dtype, weight, fmt, block_size, rotation_group, group_size)))
        else:
            out[name] = tensor
    return out


@dataclass(frozen=True)
class Stored:
    """A quantized layer of a file: its label, and its tensors by the ends of their names."""
    label: Mapping[str, Any]
    parts: Mapping[str, Tensor]

    def octets(self, part: str) -> np.ndarray:
        return np.frombuffer(self.parts[part].data, np.uint8).reshape(self.parts[part].shape)

    def floats(self, part: str) -> np.ndarray:
        return reference.to_float32(self.parts[part])


def scale_each(codes: np.ndarray, scales: np.ndarray, stored: Stored) -> np.ndarray:
    """Every group of columns times its scale, without the padding."""
    groups = codes.reshape(*scales.shape, -1)
    rows, columns = stored.label["orig_shape"]
    return (groups * scales[:, :, None]).reshape(codes.shape)[:rows, :columns]


def restore_nvfp4(stored: Stored) -> np.ndarray:
    codes = unpack(stored.octets(".weight"), first_high=True)
    scales = unswizzle(stored.octets(".weight_scale"), codes.shape[0], codes.shape[1] // 16)
    return scale_each(decode_e2m1(codes), stored.floats(".weight_scale_2") * decode(scales, E4M3), stored)


def restore_mxfp8(stored: Stored) -> np.ndarray:
    codes = stored.floats(".weight")
    exponents = unswizzle(stored.octets(".weight_scale"), codes.shape[0], codes.shape[1] // 32)
    steps = np.where(exponents == 0, F32(0), np.ldexp(F32(1), exponents.astype(np.int32) - 127))
    return scale_each(codes, steps.astype(F32), stored)


def restore_int8(stored: Stored) -> np.ndarray:
    return rotate(stored.floats(".weight") * stored.floats(".weight_scale"), stored.label["convrot_groupsize"])


def restore_int4(stored: Stored) -> np.ndarray:
    codes = signed_nibbles(stored.octets(".weight")).astype(F32)
    return rotate(codes * stored.floats(".weight_scale")[:, None], stored.label["convrot_groupsize"])


def restore_w4a8(stored: Stored) -> np.ndarray:
    codes = unpack(stored.octets(".weight"), first_high=False)
    levels = stored.floats(".weight_codebook") if ".weight_codebook" in stored.parts else np.arange(-8, 8).astype(F32)
    scales = decode(stored.octets(".weight_s_rel"), E4M3)
    values = np.clip(np.rint(levels[codes] * np.repeat(scales, codes.shape[1] // scales.shape[1], axis=1)), -127, 127)
    return rotate(values.astype(F32) * stored.floats(".weight_s_channel")[:, None], stored.label["convrot_groupsize"])


def restore_four_bit(stored: Stored) -> np.ndarray:
    bnb = next(iter(stored.label)) == "quant_type"  # nothing else tells the two layouts apart
    levels = LEVELS[stored.label["quant_type"] + ("-bnb" if bnb else "")]
    shape = stored.label["shape"]
    codes = unpack(stored.octets(".weight"), first_high=bnb).reshape(-1)[:math.prod(shape)]
    block = np.arange(codes.size) // stored.label["blocksize"]
    return (levels[codes] * stored.floats(".weight.absmax")[block]).reshape(shape)


READERS: dict[str, Callable[[Stored], np.ndarray]] = {
    "nvfp4": restore_nvfp4, "mxfp8": restore_mxfp8, "hybrid_mxfp8": restore_mxfp8, "int8_tensorwise": restore_int8,
    "convrot_w4a4": restore_int4, "asym_w4a8_int8": restore_w4a8, "nf4": restore_four_bit, "fp4": restore_four_bit,
}


def stored_layers(tensors: Mapping[str, Tensor]) -> dict[str, Stored]:
    """The quantized layers by their base names."""
    layers = {}
    for name, tensor in tensors.items():
        base = name.removesuffix(".comfy_quant") if name.endswith(".comfy_quant") else \
            name.split(".weight.quant_state.bitsandbytes__")[0]
        if base != name:
            parts = {key.removeprefix(base): part for key, part in tensors.items() if key.startswith(base + ".weight")}
            layers[base] = Stored(json.loads(tensor.data), parts | {name.removeprefix(base): tensor})
    return layers


def restore_layer(stored: Stored) -> np.ndarray:
    return READERS[stored.label.get("format") or stored.label["quant_type"]](stored)


def restore(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The output of `dequantize --dtype f32`."""
    out = dict(tensors)
    for base, stored in stored_layers(tensors).items():
        for part in stored.parts:
            del out[base + part]
        out[base + ".weight"] = floats(restore_layer(stored))
    return out
