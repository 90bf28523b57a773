"""Every way in which an input file can be broken ends in one sentence, the right exit code, and no output."""
import io
import pickle
import struct
import unittest
import zipfile

import numpy as np

import models
import reference
import safetensors_file as st
from program import BAD_INPUT, IO_ERROR, UNSUPPORTED, USAGE, ProgramTest

F32_4 = '{"dtype":"F32","shape":[4],"data_offsets":[0,16]}'


def entry(dtype="F32", shape="[4]", offsets="[0,16]"):
    return f'{{"a.weight":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}'


def raw(header, data=bytes(16), **options):
    return lambda path: st.write_raw(path, header, data, **options)


def content(data):
    return lambda path: path.write_bytes(data)


def sparse(length, size):
    def make(path):
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", length))
            file.truncate(size)
    return make


def zip_archive():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a.weight": [1.0]}, protocol=2))
    return buffer.getvalue()


# Name -> (how to make the file, a pattern for the word that makes the message useful).
BROKEN = {
    # 1, 2, 3: the length
    "empty file": (content(b""), r"empty|8 bytes|short|small|truncated"),
    "seven bytes": (content(b"1234567"), r"8 bytes|short|small|truncated"),
    "header of 100000001 bytes": (sparse(100_000_001, 100_000_200), r"header"),
    "header length of 2^64-1": (sparse(2**64 - 1, 100), r"header"),
    "header length of 2^63": (sparse(2**63, 100), r"header"),
    "file ends inside the header": (raw(entry(), b"", header_length=1000), r"header|truncated|ends"),
    "file ends after the length": (content(struct.pack("<Q", 64)), r"header|truncated|ends"),
    # 4, 5: the text
    "header length of 0": (content(struct.pack("<Q", 0)), r"header|empty|JSON"),
    "not UTF-8": (raw(entry().replace("a.", "a\udcff.").encode("utf-8", "surrogateescape")), r"UTF-?8|JSON|header"),
    "lone surrogate in a name": (raw(entry().replace("a.weight", "\\ud800")), r"UTF-?8|JSON|surrogate|header"),
    "not JSON": (raw('{"a.weight":'), r"JSON|header"),
    "text after the JSON": (raw(entry() + " x"), r"JSON|header"),
    "NUL padding": (raw(entry() + "\0\0"), r"JSON|header"),
    "top level is a list": (raw("[]", b""), r"JSON|object|header"),
    "entry is a number": (raw('{"a.weight":1}', b""), r"a\.weight|object"),
    "unknown dtype": (raw(entry("F33")), r"dtype|F33"),
    "lower-case dtype": (raw(entry("f32")), r"dtype|f32"),
    "no dtype": (raw('{"a.weight":{"shape":[4],"data_offsets":[0,16]}}'), r"dtype"),
    "no shape": (raw('{"a.weight":{"dtype":"F32","data_offsets":[0,16]}}'), r"shape"),
    "no offsets": (raw('{"a.weight":{"dtype":"F32","shape":[4]}}'), r"offset"),
    "negative dimension": (raw(entry(shape="[-4]")), r"shape|negative|integer"),
    "fractional dimension": (raw(entry(shape="[4.5]")), r"shape|integer|number"),
    "dimension of 2^64": (raw(entry(shape="[18446744073709551616]")), r"shape|integer|number|large|range"),
    "text as dimension": (raw(entry(shape='["4"]')), r"shape|integer|number"),
    "true as dimension": (raw(entry(shape="[true]")), r"shape|integer|number"),
    "one offset": (raw(entry(offsets="[0]")), r"offset"),
    "three offsets": (raw(entry(offsets="[0,16,32]")), r"offset"),
    "metadata value is a number": (raw('{"__metadata__":{"a":1},"a.weight":' + F32_4 + "}"), r"metadata"),
    "metadata value is an object": (raw('{"__metadata__":{"a":{}},"a.weight":' + F32_4 + "}"), r"metadata"),
    "metadata is a list": (raw('{"__metadata__":[],"a.weight":' + F32_4 + "}"), r"metadata"),
    "metadata twice": (raw('{"__metadata__":{},"__metadata__":{},"a.weight":' + F32_4 + "}"), r"metadata|duplicate|twice"),
    "tensor name twice": (raw('{"a.weight":' + F32_4 + ',"a.weight":' + F32_4 + "}"), r"a\.weight|duplicate|twice"),
    "100000 nested lists": (raw('{"a.weight":{"x":' + "[" * 100_000), r"JSON|nest|deep|header"),
    # 6: the offsets
    "first tensor not at 0": (raw(entry(offsets="[8,24]"), bytes(24)), r"offset|gap|hole|start"),
    "end before begin": (raw(entry(offsets="[16,0]")), r"offset|end|begin"),
    "hole between tensors": (raw('{"a.weight":' + F32_4 + ',"b":{"dtype":"F32","shape":[1],"data_offsets":[20,24]}}',
                                 bytes(24)), r"offset|gap|hole"),
    "overlapping tensors": (raw('{"a.weight":' + F32_4 + ',"b":{"dtype":"F32","shape":[4],"data_offsets":[8,24]}}',
                                bytes(24)), r"offset|overlap"),
    # 7, 8, 9, 10: the sizes
    "product of the shape overflows": (raw(entry(shape="[4294967296,4294967296]")), r"overflow|large|shape"),
    "product wraps around to the right size": (raw(entry("U8", "[1152921504606846977,16]")), r"overflow|large|shape"),
    "bits overflow": (raw(entry("F64", "[2305843009213693952]")), r"overflow|large|shape"),
    "half a byte": (raw(entry("F4", "[3]", "[0,1]"), bytes(1)), r"byte|bits|multiple|F4|size"),
    "fewer bytes than the shape": (raw(entry(shape="[5]")), r"bytes|size|shape|offset"),
    "more bytes than the shape": (raw(entry(shape="[3]")), r"bytes|size|shape|offset"),
    "data cut off": (raw(entry(), bytes(15)), r"truncated|short|bytes|ends|incomplete"),
    "bytes after the data": (raw(entry(), bytes(17)), r"bytes|trailing|extra|longer"),
    # other things with this file name
    "Git LFS pointer": (content(b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64
                                + b"\nsize 9663676416\n"), r"LFS"),
    "HTML page": (content(b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>\n"), r"HTML|web page"),
    "ZIP (PyTorch) file": (content(zip_archive()), r"zip|pytorch|pickle"),
    "pickle file": (content(pickle.dumps({"a": list(range(50))}, protocol=2)), r"pickle|pytorch"),
    "GGUF file": (content(b"GGUF\x03\0\0\0" + bytes(56)), r"GGUF"),
}


def header_of(length):
    """A valid file whose first bytes, those of the header's length, are given."""
    return raw(entry() + " " * (length - len(entry())))


# Unusual, but valid: reading these must work.
VALID = {
    "starts like a pickle": header_of(int.from_bytes(b"\x80\x02", "little")),
    "starts like a ZIP file": header_of(int.from_bytes(b"PK", "little")),
    "starts like an HTML page": header_of(int.from_bytes(b"<!", "little")),
    "no tensors": raw("{}", b""),
    "metadata is null": raw('{"__metadata__":null,"a.weight":' + F32_4 + "}"),
    "unpadded header": raw(entry() + " " * (1 - len(entry()) % 2)),
    "unknown fields": raw(entry().replace('"F32"', '"F32","extra":{"x":[1,{}]}')),
    "not in order": raw('{"b":{"dtype":"F32","shape":[4],"data_offsets":[16,32]},"a.weight":' + F32_4 + "}", bytes(32)),
    "empty tensors at one offset": raw('{"b":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"F32","shape":'
                                       '[3,0],"data_offsets":[0,0]},"a.weight":' + F32_4 + "}"),
}


class BrokenFile(ProgramTest):
    def check_broken(self, make, pattern):
        source, output = self.folder / "in.safetensors", self.folder / "out.safetensors"
        make(source)
        for arguments in (("convert", source, "-o", output, "--format", "fp8", "--preset", "none", "--quiet"),
                          ("plan", source, "--format", "fp8", "--preset", "none"), ("inspect", source)):
            self.refuse(*arguments, code=BAD_INPUT, says=[pattern], path=source, one_sentence=True)
        self.assert_nothing_left(output)

    def check_valid(self, make):
        source = self.folder / "in.safetensors"
        make(source)
        self.assertEqual(self.check("inspect", source, "--json").json["bytes"], source.stat().st_size)


class BrokenWeights(ProgramTest):
    """Not-a-number and infinity, which the reference turns into a ruined layer without a word."""

    def check_weights(self, place, value, dtype="BF16", fmt="fp8"):
        weight = np.random.default_rng(1).standard_normal((16, 32)).astype(np.float32)
        weight[place] = value
        source = st.write(self.folder / "in.safetensors", {"fine.weight": models.floats(np.random.default_rng(2), (32, 32)),
                                                           "block.bad.weight": reference.from_float32(weight, dtype)})
        output = self.folder / "out.safetensors"
        row, column = place
        index = rf"\b{row * 32 + column}\b|\b{row}\D{{1,12}}{column}\b"  # flat, or row and column
        self.refuse("convert", source, "-o", output, "--format", fmt, "--preset", "none", "--quiet", code=BAD_INPUT,
                    says=[r"block\.bad\.weight", index, "nan" if np.isnan(value) else "inf"], one_sentence=True)
        self.assert_nothing_left(output)

    def test_nan_or_infinity_names_tensor_and_index(self):
        for value in (np.nan, np.inf, -np.inf):
            for dtype in reference.FLOAT_DTYPES:
                with self.subTest(value=value, dtype=dtype):
                    self.check_weights((5, 7), value, dtype)

    def test_nan_in_every_format(self):
        for fmt in reference.FORMATS:
            if not fmt.endswith("-block"):
                with self.subTest(fmt):
                    self.check_weights((15, 31), np.nan, fmt=fmt)

    def test_nan_in_a_copied_tensor_is_copied(self):
        tensors = {"a.weight": models.floats(np.random.default_rng(1), (8, 8)),
                   "a.bias": reference.from_float32(np.array([np.nan, np.inf], np.float32), "F32")}
        source = st.write(self.folder / "in.safetensors", tensors)
        self.assert_same("a.bias", st.read(self.convert(source, "fp8")).tensors["a.bias"], tensors["a.bias"])

    def test_cast_of_too_large_a_value_names_the_tensor(self):
        for value in (449.0, -1e6):
            weight = np.zeros((4, 4), np.float32)
            weight[1, 2] = value
            source = st.write(self.folder / "in.safetensors", {"big.weight": reference.from_float32(weight, "F32")})
            output = self.folder / "out.safetensors"
            self.refuse("convert", source, "-o", output, "--format", "fp8-cast", "--preset", "none", "--quiet",
                        code=(BAD_INPUT, UNSUPPORTED), says=[r"big\.weight", "448"], one_sentence=True)
            self.assert_nothing_left(output)


class NotAFile(ProgramTest):
    def check_missing(self, source, codes, pattern):
        output = self.folder / "out.safetensors"
        self.refuse("convert", source, "-o", output, "--format", "fp8", "--preset", "none", "--quiet", code=codes,
                    says=[pattern], path=source, one_sentence=True)
        self.assert_nothing_left(output)

    def test_missing_file(self):
        self.check_missing(self.folder / "absent.safetensors", (BAD_INPUT, IO_ERROR), r"no such file|not exist|not found")

    def test_folder_without_shards(self):
        (self.folder / "empty").mkdir()
        self.check_missing(self.folder / "empty", (BAD_INPUT, USAGE), r"safetensors|shard")


def add_tests(table, check):
    for number, (name, arguments) in enumerate(table.items(), 1):
        def test(self, arguments=arguments):
            getattr(self, check)(*(arguments if isinstance(arguments, tuple) else (arguments,)))
        test.__doc__ = name
        setattr(BrokenFile, f"test_{check[6:]}_{number:02}_" + "".join(c if c.isalnum() else "_" for c in name), test)


add_tests(BROKEN, "check_broken")
add_tests(VALID, "check_valid")

if __name__ == "__main__":
    unittest.main()
