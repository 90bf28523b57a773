"""The simple (absmax, round to nearest) formats in numpy, written from the format specification.

Every arithmetic operation is a separate float32 operation, so nothing is contracted or reordered. Shared with nothing
in the program under test.
"""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Callable, Iterator, Mapping

import numpy as np

from safetensors_file import Tensor

F32 = np.float32
FLOAT_DTYPES = ("F64", "F32", "F16", "BF16")
DEFAULT_BLOCK_SIZE = {"fp8-block": 64, "int8-block": 128}
CHUNK = 1 << 22  # elements per step: bounds the temporaries, changes no result


@dataclass(frozen=True)
class MiniFloat:
    """An 8-bit float: sign, exponent, mantissa; `largest` finite magnitude."""
    mantissa_bits: int
    bias: int
    largest: float


E4M3 = MiniFloat(mantissa_bits=3, bias=7, largest=448.0)
E5M2 = MiniFloat(mantissa_bits=2, bias=15, largest=57344.0)


def encode(values: np.ndarray, kind: MiniFloat) -> np.ndarray:
    """Codes of finite float32 values with magnitude <= kind.largest: nearest, ties to even, sign of zero kept."""
    values = np.asarray(values, F32)
    magnitude = np.abs(values)
    if magnitude.size and not magnitude.max() <= kind.largest:
        raise ValueError("encode() needs clamped, finite values")
    _, exponent = np.frexp(magnitude)  # magnitude = m * 2^exponent with 0.5 <= m < 1
    smallest = 1 - kind.bias  # also serves zero and the subnormals
    exponent = np.where(magnitude > 0, np.maximum(exponent - 1, smallest), smallest)
    steps = np.rint(np.ldexp(magnitude, kind.mantissa_bits - exponent)).astype(np.int32)
    code = ((exponent + kind.bias) << kind.mantissa_bits) + steps - (1 << kind.mantissa_bits)
    return (code | (np.signbit(values).astype(np.int32) << 7)).astype(np.uint8)


def decode(codes: np.ndarray, kind: MiniFloat) -> np.ndarray:
    every = np.arange(256)
    exponent = (every & 0x7F) >> kind.mantissa_bits
    mantissa = (every & ((1 << kind.mantissa_bits) - 1)).astype(F32)
    mantissa = np.where(exponent > 0, mantissa + F32(1 << kind.mantissa_bits), mantissa)
    table = np.ldexp(mantissa, np.maximum(exponent, 1) - kind.bias - kind.mantissa_bits).astype(F32)
    return np.where(every >= 128, -table, table).astype(F32)[codes]


def to_float32(tensor: Tensor) -> np.ndarray:
    """Element values as float32: exact for F16, BF16, F32; nearest even for F64."""
    if tensor.dtype == "BF16":
        flat = (np.frombuffer(tensor.data, "<u2").astype(np.uint32) << 16).view(F32)
    elif tensor.dtype == "F8_E4M3":
        flat = decode(np.frombuffer(tensor.data, np.uint8), E4M3)
    elif tensor.dtype == "F8_E5M2":
        flat = decode(np.frombuffer(tensor.data, np.uint8), E5M2)
    else:
        stored = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I8": "i1"}[tensor.dtype]
        flat = np.frombuffer(tensor.data, stored).astype(F32)
    return flat.reshape(tensor.shape)


def from_float32(values: np.ndarray, dtype: str) -> Tensor:
    """A tensor of `dtype` holding `values` rounded to nearest even."""
    values = np.ascontiguousarray(values, F32)
    if dtype == "BF16":
        bits = values.view(np.uint32)
        data = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
        data = np.where(np.isnan(values), np.uint16(0x7FC0), data).astype("<u2")
    else:
        data = values.astype({"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype])
    return Tensor(dtype, tuple(values.shape), data.tobytes())


@dataclass(frozen=True)
class Quantized:
    codes: np.ndarray  # uint8 (fp8) or int8, shape of the weight
    scale: np.ndarray | None  # float32, broadcast over `groups` of the weight; None: no scale
    stored_scale_shape: tuple[int, ...]


def quantize(weight: np.ndarray, fmt: str, block_size: int | None = None) -> Quantized:
    """Codes and dequantization multipliers of a 2-D float32 weight."""
    rows, columns = weight.shape
    block = block_size or DEFAULT_BLOCK_SIZE.get(fmt, 0)
    if fmt.endswith("-block"):
        if rows % block or columns % block:
            raise ValueError(f"{block} does not divide {weight.shape}")
        grid, stored = (rows // block, columns // block), (rows // block, columns // block)
    elif fmt.endswith("-row"):
        grid, stored = (rows, 1), (rows,) if fmt.startswith("fp8") else (rows, 1)
    else:
        grid, stored = (1, 1), ()
    stored = () if int(np.prod(stored)) == 1 else stored  # one-element scales are stored 0-dimensional

    if fmt == "fp8-cast":
        return Quantized(_by_chunks(weight, lambda part, _: encode(part, E4M3), np.ones((1, 1), F32)), None, ())
    tiles = weight.reshape(grid[0], rows // grid[0], grid[1], columns // grid[1])
    amax = np.maximum(tiles.max(axis=(1, 3)), -tiles.min(axis=(1, 3)))
    if not amax.any():  # an all-zero tensor: codes 0 whatever the sign of its zeros, scales exactly 1
        return Quantized(np.zeros(weight.shape, np.int8 if fmt.startswith("int8") else np.uint8),
                         np.ones(grid, F32), stored)
    scale, factor, codes = CHAINS[fmt](amax)
    return Quantized(_by_chunks(weight, codes, factor), scale, stored)


def _fp8_chain(kind: MiniFloat) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, Callable]]:
    def chain(amax: np.ndarray) -> tuple[np.ndarray, np.ndarray, Callable]:
        limit = F32(kind.largest)
        factor = (F32(1) / np.maximum(amax, F32(1e-12))) * limit  # two roundings
        return F32(1) / factor, factor, lambda part, s: encode(np.clip(part * s, -limit, limit), kind)
    return chain


def _int8_codes(scaled: np.ndarray) -> np.ndarray:
    return np.rint(np.clip(scaled, F32(-127), F32(127))).astype(np.int8)


def _int8_tensor_chain(amax: np.ndarray) -> tuple[np.ndarray, np.ndarray, Callable]:
    scale = np.maximum(amax, F32(1e-12)) / F32(127)
    return scale, F32(1) / scale, lambda part, s: _int8_codes(part * s)


def _int8_row_chain(amax: np.ndarray) -> tuple[np.ndarray, np.ndarray, Callable]:
    factor = (F32(1) / np.maximum(amax, F32(1e-12))) * F32(127)
    return F32(1) / factor, factor, lambda part, s: _int8_codes(part * s)


def _int8_block_chain(amax: np.ndarray) -> tuple[np.ndarray, np.ndarray, Callable]:
    scale = np.maximum(amax / F32(127), F32(1e-8))
    return scale, scale, lambda part, s: _int8_codes(part / s)


CHAINS = {
    "fp8": _fp8_chain(E4M3), "fp8-row": _fp8_chain(E4M3), "fp8-block": _fp8_chain(E4M3),
    "fp8-e5m2": _fp8_chain(E5M2), "int8": _int8_tensor_chain, "int8-row": _int8_row_chain,
    "int8-block": _int8_block_chain,
}
FORMATS = (*CHAINS, "fp8-cast")


def _spread(groups: np.ndarray, rows: slice, columns: slice, shape: tuple[int, int]) -> np.ndarray:
    """The group value of each element of weight[rows, columns]."""
    row = np.arange(rows.start, rows.stop) // (shape[0] // groups.shape[0])
    column = np.arange(columns.start, columns.stop) // (shape[1] // groups.shape[1])
    return groups[np.ix_(row if groups.shape[0] > 1 else [0], column if groups.shape[1] > 1 else [0])]


def _windows(shape: tuple[int, int]) -> Iterator[tuple[slice, slice]]:
    width = min(shape[1], CHUNK)
    height = max(1, CHUNK // width)
    for top in range(0, shape[0], height):
        for left in range(0, shape[1], width):
            yield slice(top, min(top + height, shape[0])), slice(left, min(left + width, shape[1]))


def _by_chunks(weight: np.ndarray, codes: Callable, factor: np.ndarray) -> np.ndarray:
    out = None
    for rows, columns in _windows(weight.shape):
        part = codes(weight[rows, columns], _spread(factor, rows, columns, weight.shape))
        out = np.empty(weight.shape, part.dtype) if out is None else out
        out[rows, columns] = part
    return out


def dequantize(codes: Tensor, scale: Tensor | None) -> np.ndarray:
    """float(code) * weight_scale in float32; the scale's shape says whether it is per tensor, row or tile."""
    values = to_float32(codes)
    if scale is None:
        return values
    rows, columns = codes.shape
    factor = to_float32(scale)
    grid = {0: (1, 1), 1: (factor.size, 1), 2: factor.shape}[factor.ndim]
    return values * _spread(factor.reshape(grid), slice(0, rows), slice(0, columns), codes.shape)


COMFY_NAME = {
    "fp8": "float8_e4m3fn", "fp8-row": "float8_e4m3fn_rowwise", "fp8-block": "float8_e4m3fn_blockwise",
    "fp8-e5m2": "float8_e5m2", "int8": "int8_tensorwise", "int8-row": "int8_tensorwise", "int8-block": "int8_blockwise",
}


def comfy_quant(fmt: str, block_size: int | None = None, full_precision_mm: bool = False) -> bytes:
    entry: dict[str, Any] = {"format": COMFY_NAME[fmt]}
    if fmt.endswith("-block"):
        entry["group_size"] = block_size or DEFAULT_BLOCK_SIZE[fmt]
    if full_precision_mm:
        entry["full_precision_matrix_mult"] = True
    if fmt == "int8-row":
        entry["per_row"] = True
    return json.dumps(entry).encode()


def is_candidate(name: str, tensor: Tensor) -> bool:
    """Whether the tensor is a layer to quantize: a 2-D float `*.weight` that is not empty."""
    return name.endswith(".weight") and len(tensor.shape) == 2 and tensor.dtype in FLOAT_DTYPES and 0 not in tensor.shape


def convert_layer(name: str, tensor: Tensor, fmt: str, block_size: int | None = None,
                  full_precision_mm: bool = False, input_scale: bool = False) -> dict[str, Tensor]:
    """The output tensors of one quantized weight."""
    base = name.removesuffix(".weight")
    result = quantize(to_float32(tensor), fmt, block_size)
    stored = "I8" if fmt.startswith("int8") else "F8_E5M2" if fmt == "fp8-e5m2" else "F8_E4M3"
    out = {name: Tensor(stored, tensor.shape, result.codes.tobytes())}
    if result.scale is None:
        return out
    out[base + ".weight_scale"] = Tensor("F32", result.stored_scale_shape, result.scale.astype("<f4").tobytes())
    text = comfy_quant(fmt, block_size, full_precision_mm)
    out[base + ".comfy_quant"] = Tensor("U8", (len(text),), text)
    if fmt == "int8-block" or input_scale:
        out[base + ".input_scale"] = Tensor("F32", (), F32(1).tobytes())
    return out


def convert(tensors: Mapping[str, Tensor], fmt: str, block_size: int | None = None,
            keep: Callable[[str], bool] = lambda name: False, **options: bool) -> dict[str, Tensor]:
    """The output of `convert --preset none`; `keep` names weights that stay as they are."""
    block = block_size or DEFAULT_BLOCK_SIZE.get(fmt)
    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        indivisible = fmt.endswith("-block") and any(extent % block for extent in tensor.shape)
        if is_candidate(name, tensor) and not keep(name) and not indivisible:
            out.update(convert_layer(name, tensor, fmt, block, **options))
        else:
            out[name] = tensor
    return out
