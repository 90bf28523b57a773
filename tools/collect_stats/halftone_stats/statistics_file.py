"""Writes the statistics file that docs/STATISTICS.md specifies, with numpy alone."""

import contextlib

import numpy as np

from .safetensors_files import file_that_appears_complete, header_bytes

METADATA = {"format": "halftone-statistics", "version": "1"}

# What a layer may have; the numbers say how many times the width of its input is a dimension.
DIMENSIONS = {"second_moment": 2, "diag": 1, "mean": 1, "cross_moment": 2, "mean_quantized": 1, "count": 0}

# Bytes of a header entry beside the name: type, shape and two offsets of up to 20 digits.
ENTRY_BYTES = 140


class NotFinite(Exception):
    """A statistic holds NaN or infinity."""


@contextlib.contextmanager
def statistics_file(path, layers, dtype="F32"):
    """Gives a Writer for at most these layers, by name.  The file appears when the block ends without an error.

    `dtype` is that of second and cross moments, F32 or BF16; all else is F32, counts are I64.
    """
    with file_that_appears_complete(path) as file:
        writer = Writer(file, layers, dtype)
        yield writer
        writer.finish()


class Writer:
    """Appends layer after layer.  The header comes last, into room that is kept for it: nobody knows before which layers
    are reached."""

    def __init__(self, file, layers, dtype):
        self._file, self._dtype = file, dtype
        names = [f"{layer}.{kind}" for layer in layers for kind in DIMENSIONS]
        # A character of a name takes up to 4 bytes in UTF-8, an escaped one 6.
        room = 200 + sum(6 * len(name) + ENTRY_BYTES for name in names)
        self._header_length = room + -room % 8
        self._entries = {"__metadata__": METADATA}
        self._position = 0
        file.seek(8 + self._header_length)

    def add(self, layer, statistics):
        """`statistics`: arrays by kind, and `count`, a number."""
        for kind, values in statistics.items():
            values = np.asarray(values)
            if values.ndim != DIMENSIONS[kind]:
                raise ValueError(f"{layer}.{kind} has {values.ndim} dimensions")
            if not np.isfinite(values).all():
                raise NotFinite(
                    f"{layer}.{kind} is not finite: inputs of the layer are infinite, NaN or too large for F32"
                )
            self._append(f"{layer}.{kind}", *_stored(kind, values, self._dtype))

    def finish(self):
        self._file.seek(0)
        self._file.write(header_bytes(self._entries, self._header_length))

    def _append(self, name, dtype, values):
        if name in self._entries:
            raise ValueError(f"{name} was written already")
        end = self._position + values.nbytes
        self._entries[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [self._position, end]}
        self._file.write(np.ascontiguousarray(values).data)
        self._position = end


def _stored(kind, values, dtype):
    if kind == "count":
        return "I64", values.reshape(1).astype("<i8")
    values = values.astype("<f4")
    if dtype == "BF16" and values.ndim == 2:
        return "BF16", _bf16(values)
    return "F32", values


def _bf16(values):
    """Nearest, ties to even; finite values that round to infinity are refused before, as they are not in F32 either."""
    bits = values.view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
