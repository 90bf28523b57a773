"""Reads and writes safetensors files for the tests, independently of the program under test.

Tensors are raw bytes with a dtype string and a shape. The reader is strict (every check of the container format,
in order); the writer can also write broken and sparse files.
"""
from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterable, Mapping

MAX_HEADER_BYTES = 100_000_000

# Name and bits of every element type, in ascending order of the writer's sort rank.
DTYPE_BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
    "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}
DTYPE_RANK = {name: rank for rank, name in enumerate(DTYPE_BITS)}


class BadFile(Exception):
    """The bytes are not a valid safetensors file."""


@dataclass(frozen=True)
class Tensor:
    dtype: str
    shape: tuple[int, ...]
    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.data) != byte_count(self.dtype, self.shape):
            raise ValueError(f"{self.dtype} {self.shape} needs {byte_count(self.dtype, self.shape)} bytes, "
                             f"got {len(self.data)}")


@dataclass(frozen=True)
class File:
    metadata: dict[str, str]
    tensors: dict[str, Tensor]  # in the order of their data
    header: bytes  # with its padding


def byte_count(dtype: str, shape: Iterable[int]) -> int:
    return math.prod(shape) * DTYPE_BITS[dtype] // 8


def output_order(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names as a writer must order them: dtype rank descending, then name by its UTF-8 bytes."""
    return sorted(tensors, key=lambda name: (-DTYPE_RANK[tensors[name].dtype], name.encode()))


def header_entries(tensors: Mapping[str, Tensor], order: Iterable[str]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    begin = 0
    for name in order:
        end = begin + len(tensors[name].data)
        entries[name] = {"dtype": tensors[name].dtype, "shape": list(tensors[name].shape), "data_offsets": [begin, end]}
        begin = end
    return entries


def header_bytes(entries: Mapping[str, Any], metadata: Mapping[str, str] | None = None) -> bytes:
    """The one true header text: metadata first with sorted keys, compact JSON, padded with spaces to 8 bytes."""
    content: dict[str, Any] = {}
    if metadata is not None:
        content["__metadata__"] = dict(sorted(metadata.items()))
    content.update(entries)
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def write(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None,
          order: Iterable[str] | None = None) -> Path:
    """Writes a valid file; `order` (default: the mapping's own) is the order of the data."""
    names = list(order) if order is not None else list(tensors)
    header = header_bytes(header_entries(tensors, names), metadata)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for name in names:
            file.write(tensors[name].data)
    return Path(path)


def write_raw(path: Path, header: bytes | str | Mapping[str, Any], data: bytes = b"",
              header_length: int | None = None) -> Path:
    """Writes whatever it is given; `header_length` overrides the eight length bytes."""
    if isinstance(header, Mapping):
        header = json.dumps(header)
    text = header.encode() if isinstance(header, str) else header
    length = len(text) if header_length is None else header_length
    Path(path).write_bytes(struct.pack("<Q", length) + text + data)
    return Path(path)


def write_sparse(path: Path, tensors: Iterable[tuple[str, str, tuple[int, ...]]],
                 metadata: Mapping[str, str] | None = None) -> Path:
    """Writes a file of the true size whose data is one hole: all zeros, no disk blocks."""
    entries: dict[str, Any] = {}
    begin = 0
    for name, dtype, shape in tensors:
        end = begin + byte_count(dtype, shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        begin = end
    header = header_bytes(entries, metadata)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        file.truncate(8 + len(header) + begin)
    return Path(path)


def read(path: Path) -> File:
    with open(path, "rb") as file:
        content, header, data_start = _read_header(file, os.fstat(file.fileno()).st_size)
        metadata = content.pop("__metadata__", None) or {}
        tensors = {}
        for name, entry in sorted(content.items(), key=lambda item: item[1]["data_offsets"]):
            begin, end = entry["data_offsets"]
            file.seek(data_start + begin)
            tensors[name] = Tensor(entry["dtype"], tuple(entry["shape"]), file.read(end - begin))
    return File(metadata, tensors, header)


def is_loadable(path: Path) -> bool:
    """Whether a reader that makes every check of the container format accepts the file."""
    try:
        with open(path, "rb") as file:
            _read_header(file, os.fstat(file.fileno()).st_size)
    except (BadFile, OSError):
        return False
    return True


def _read_header(file: Any, file_bytes: int) -> tuple[dict[str, Any], bytes, int]:
    first = file.read(8)
    if len(first) < 8:
        raise BadFile("shorter than 8 bytes")
    length = struct.unpack("<Q", first)[0]
    if length > MAX_HEADER_BYTES:
        raise BadFile(f"header of {length} bytes")
    if 8 + length > file_bytes:
        raise BadFile("file ends inside the header")
    header = file.read(length)
    try:
        content = json.loads(header.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise BadFile(f"header: {error}") from error
    if not isinstance(content, dict):
        raise BadFile("header is not an object")
    _check_metadata(content.get("__metadata__"))
    _check_entries({name: entry for name, entry in content.items() if name != "__metadata__"},
                   file_bytes - 8 - length)
    return content, header, 8 + length


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise BadFile("duplicate key")
    for key, _ in pairs:
        key.encode()  # a lone surrogate is not UTF-8: ValueError
    return dict(pairs)


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise BadFile("metadata is not a map of strings")


def _check_entries(entries: Mapping[str, Any], data_bytes: int) -> None:
    for name, entry in entries.items():
        if not isinstance(entry, dict) or entry.get("dtype") not in DTYPE_BITS:
            raise BadFile(f"{name}: dtype")
        if not _naturals(entry.get("shape")):
            raise BadFile(f"{name}: shape")
        if not _naturals(entry.get("data_offsets")) or len(entry["data_offsets"]) != 2:
            raise BadFile(f"{name}: data_offsets")
    previous_end = 0
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = entry["data_offsets"]
        if begin != previous_end or end < begin:
            raise BadFile(f"{name}: offsets {begin}..{end} after {previous_end}")
        bits = math.prod(entry["shape"]) * DTYPE_BITS[entry["dtype"]]
        if bits >= 2**64 or bits % 8 or bits // 8 != end - begin:
            raise BadFile(f"{name}: {end - begin} bytes do not hold {entry['dtype']} {entry['shape']}")
        previous_end = end
    if previous_end != data_bytes:
        raise BadFile(f"{data_bytes} bytes of data, {previous_end} described")


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**64 for item in value)
