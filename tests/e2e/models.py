"""Random models for the tests."""
from __future__ import annotations

from pathlib import Path

import numpy as np

import reference
import safetensors_file as st
from safetensors_file import Tensor


def floats(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "BF16", spread: float = 0.05) -> Tensor:
    return reference.from_float32(rng.standard_normal(shape, dtype=np.float32) * np.float32(spread), dtype)


def outliers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "BF16") -> Tensor:
    """Heavy tails, signed zeros and very small values together."""
    values = rng.standard_normal(shape, dtype=np.float32) ** 3
    choice = rng.integers(0, 20, shape)
    values = np.where(choice == 0, np.float32(-0.0), values)
    values = np.where(choice == 1, values * np.float32(1e-6), values)
    return reference.from_float32(values, dtype)


def octets(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "U8") -> Tensor:
    """A tensor whose bytes have no meaning."""
    size = len(np.empty(shape, np.uint8).ravel()) * {"U8": 1, "I8": 1, "BOOL": 1, "F8_E4M3": 1, "I32": 4, "I64": 8}[dtype]
    return Tensor(dtype, shape, rng.integers(0, 2 if dtype == "BOOL" else 100, size, np.uint8).tobytes())


def transformer(rng: np.random.Generator, dtype: str = "BF16", blocks: int = 2, width: int = 256,
                prefix: str = "model.diffusion_model.") -> dict[str, Tensor]:
    """A small model like those that people convert: linear layers divisible by 128, norms, biases, a convolution."""
    tensors: dict[str, Tensor] = {}
    for block in range(blocks):
        base = f"{prefix}blocks.{block}."
        tensors[base + "attn.qkv.weight"] = floats(rng, (3 * width, width), dtype)
        tensors[base + "attn.qkv.bias"] = floats(rng, (3 * width,), dtype)
        tensors[base + "mlp.fc.weight"] = floats(rng, (2 * width, width), dtype)
        tensors[base + "norm.weight"] = floats(rng, (width,), dtype)
    tensors[prefix + "patch.conv.weight"] = floats(rng, (8, 4, 3, 3), dtype)
    tensors[prefix + "scale_shift_table"] = floats(rng, (2, width), dtype)
    return tensors


def linear_stack(path: Path, layers: int) -> Path:
    """A file of `layers` times 16 MiB of BF16, quick to make: all layers are the same."""
    layer = floats(np.random.default_rng(1), (2048, 4096))
    return st.write(path, {f"blocks.{index}.weight": layer for index in range(layers)})
