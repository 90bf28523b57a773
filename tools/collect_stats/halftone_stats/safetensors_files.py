"""Safetensors files as bytes, with the standard library alone: nothing is decoded, so every type is carried as it is."""

import contextlib
import json
import os
import pathlib
import struct

# The most that is copied at once.
CHUNK = 1 << 24

# A header of 100 MB is what readers accept at most.
LONGEST_HEADER = 100_000_000


class BadFile(Exception):
    """A file is not what it should be."""


def read_header(path):
    """Returns ({name: {"dtype", "shape", "data_offsets"}}, metadata, where the data begin)."""
    with open(path, "rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else LONGEST_HEADER + 1
        if length > LONGEST_HEADER:
            raise BadFile(f"'{path}' is no safetensors file")
        text = file.read(length)
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__", {})
    except (ValueError, AttributeError) as error:
        raise BadFile(f"'{path}' is no safetensors file: {error}") from None
    return header, metadata, 8 + length


class Model:
    """The tensors of a file, of a folder of shards, or of a shard index."""

    def __init__(self, path):
        self.places = {}  # name -> (file, entry, where its bytes begin)
        for file in _files_of(pathlib.Path(path)):
            header, _, begin = read_header(file)
            for name, entry in header.items():
                if name in self.places:
                    raise BadFile(f"the tensor '{name}' is in '{self.places[name][0]}' and in '{file}'")
                self.places[name] = (file, entry, begin + entry["data_offsets"][0])

    def entry(self, name):
        return self.places[name][1]

    def n_bytes(self, name):
        begin, end = self.places[name][1]["data_offsets"]
        return end - begin

    def chunks(self, name):
        """The bytes of a tensor, in pieces."""
        file_name, _, begin = self.places[name]
        left = self.n_bytes(name)
        with open(file_name, "rb") as file:
            file.seek(begin)
            while left > 0:
                chunk = file.read(min(left, CHUNK))
                if not chunk:
                    raise BadFile(f"'{file_name}' ends within the tensor '{name}'")
                left -= len(chunk)
                yield chunk

    def bytes(self, name):
        return b"".join(self.chunks(name))


def _files_of(path):
    if path.suffix == ".json":
        index = json.loads(path.read_text())
        return sorted({path.parent / file for file in index["weight_map"].values()})
    if not path.is_dir():
        return [path]
    indices = sorted(path.glob("*.safetensors.index.json"))
    if len(indices) == 1:
        return _files_of(indices[0])
    files = sorted(path.glob("*.safetensors"))
    if len(files) != 1:
        raise BadFile(
            f"'{path}' holds {len(files)} safetensors files and {len(indices)} indices; name the one that is meant"
        )
    return files


def write_subset(model, names, path):
    """Writes some tensors of a model into a file of their own."""
    header, position = {}, 0
    for name in names:
        end = position + model.n_bytes(name)
        header[name] = {**model.entry(name), "data_offsets": [position, end]}
        position = end
    with open(path, "wb") as file:
        file.write(header_bytes(header))
        for name in names:
            file.writelines(model.chunks(name))


def header_bytes(header, length=None):
    """A header with its length in front, filled up with blanks to `length` or else to a multiple of 8."""
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    length = length or len(text) + -len(text) % 8
    if len(text) > length:
        raise ValueError(f"the header has {len(text)} bytes, {length} were kept for it")
    return struct.pack("<Q", length) + text.ljust(length)


def replace_tensors(path, replacement):
    """Puts the tensors of `replacement`, a Model, in place of those with the same names in the file or files at `path`.

    Types and shapes must be equal, so nothing but these bytes changes.
    """
    target = Model(path)
    for name in replacement.places:
        if name not in target.places:
            raise BadFile(f"'{path}' has no tensor '{name}'")
        file_name, entry, begin = target.places[name]
        new = replacement.entry(name)
        if (entry["dtype"], entry["shape"]) != (new["dtype"], new["shape"]):
            raise BadFile(
                f"'{path}': the tensor '{name}' is {entry['dtype']} {entry['shape']}, not {new['dtype']} {new['shape']}"
            )
        with open(file_name, "r+b") as file:
            file.seek(begin)
            file.writelines(replacement.chunks(name))


@contextlib.contextmanager
def file_that_appears_complete(path):
    """Gives `PATH.partial`, open for writing; it gets its name on the disk and complete, or goes."""
    partial = pathlib.Path(f"{path}.partial")
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    sync_folder(pathlib.Path(path).parent)


def sync_folder(folder):
    """So that a name given in it survives a loss of power, too."""
    descriptor = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
