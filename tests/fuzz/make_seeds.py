#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets: one small file for each thing that a parser accepts or rejects.

    make_seeds.py            writes corpus/TARGET/NAME
    make_seeds.py --check    fails where the files there are not those it would write

The name of a seed says what it shows. "valid-" inputs must be accepted and "reject-" inputs refused. What becomes of
the rest is up to the target: "other-" inputs are other kinds of files, "resized-" ones have data of another size than
their header tells (the target thinks absent data there), "mixed-" ones suit some formats and not others, and "found-"
ones once broke something.
"""
import json
import struct
import sys
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"

# Bits of an element, in the order of include/halftone/dtype.def.
DTYPES = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
          "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
          "C64": 64, "F64": 64, "I64": 64, "U64": 64}


def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def entry(dtype="F32", shape="[4]", offsets="[0,16]", extra=""):
    return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}{extra}}}'


def one(name="a", **parts):
    return f'{{"{name}":{entry(**parts)}}}'


def two(first, second):
    return f'{{"a":{first},"b":{second}}}'


def header(*tensors, metadata=None):
    """The header of tensors (name, dtype, shape), one after the other."""
    entries, offset = ({} if metadata is None else {"__metadata__": metadata}), 0
    for name, dtype, shape in tensors:
        bits = DTYPES[dtype]
        for extent in shape:
            bits *= extent
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + bits // 8]}
        offset += bits // 8
    return compact(entries)


def framed(text, length=None, data=b""):
    text = text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return struct.pack("<Q", len(text) if length is None else length) + text + data


# * header ------------------------------------------------------------------------------------------

WHOLE_FILES = {
    "valid-with-data": framed(one(), data=bytes(16)),
    "valid-no-tensors": framed("{}"),
    "valid-length-like-a-pickle": framed(one().ljust(0x280), data=bytes(16)),
    "reject-empty-file": b"",
    "reject-seven-bytes": b"1234567",
    "reject-length-0": framed(""),
    "reject-length-beyond-file": framed(one(), length=1000),
    "reject-length-over-limit": framed(one(), length=100_000_001),
    "reject-length-2-63": framed(one(), length=2**63),
    "reject-length-2-64-minus-1": framed(one(), length=2**64 - 1),
    "reject-only-length": struct.pack("<Q", 64),
    "resized-data-short": framed(one(), data=bytes(15)),
    "resized-data-long": framed(one(), data=bytes(17)),
    "other-git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9663676416\n",
    "other-html": b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>\n",
    "other-html-after-space": b"\r\n\t <HTML><body>",
    "other-xml": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "other-zip": b"PK\x03\x04\x14\0\0\0\0\0\0\0!\0archive/data.pkl",
    "other-pickle-2": b"\x80\x02}q\0X\x01\0\0\0aq\x01K\x01s.",
    "other-pickle-4": b"\x80\x04\x95\x0c\0\0\0\0\0\0\0}\x94\x8c\x01a\x94K\x01s.",
    "other-gguf": b"GGUF\x03\0\0\0" + bytes(16),
}


def header_of_largest_file():
    """A header without padding, so that the file has 2^64 - 1 bytes and could not be written again."""
    tensors = [(str(i), "U8", [2**61 - 1]) for i in range(7)]
    n_header = len(header(*tensors, ("last", "U8", [2**61 - 1])))  # the last extent has 19 digits in any case
    return header(*tensors, ("last", "U8", [2**64 - 1 - 8 - n_header - 7 * (2**61 - 1)]))


# Their data is absent; the target thinks it there.
HEADERS = {
    "valid-scalar": one(shape="[]", offsets="[0,4]"),
    "valid-every-type": header(*((name, name, [8]) for name in DTYPES)),
    "valid-sub-byte": header(("a", "F4", [2, 3]), ("b", "F6_E2M3", [4]), ("c", "F6_E3M2", [4, 1])),
    "valid-metadata": header(("a", "F32", [1]), metadata={"format": "pt", "b": "", "a": "2"}),
    "valid-metadata-empty": '{"__metadata__":{}}',
    "valid-metadata-null": '{"__metadata__":null,"a":' + entry() + "}",
    "valid-metadata-last": '{"a":' + entry() + ',"__metadata__":{"k":"v"}}',
    "valid-empty-tensors": two(entry(shape="[0]", offsets="[0,0]"), entry(shape="[3,0]", offsets="[0,0]")),
    "valid-not-in-order": two(entry(offsets="[16,32]"), entry()),
    "valid-empty-listed-late": two(entry(), entry(shape="[0]", offsets="[0,0]")),
    "valid-unknown-fields": one(extra=',"x":1,"y":[{"z":[]},null,true,-1,1.5],"z":{"dtype":"F4","dtype":0}'),
    "valid-unknown-nested": one(extra=',"x":' + "[" * 29 + "]" * 29),
    "valid-white-space": ' \n{ "a" :\t{ "dtype":"F32" , "shape":[ 4 ],\r\n"data_offsets":[0 ,16]} }   ',
    "valid-unicode": header(("größe.вес.重み.🎚", "F16", [3]), metadata={"автор": "naïve 🙂", "\x7f": "\ufeff\uffff"}),
    "valid-escapes": r'{"__metadata__":{"\"\\\/\b\f\n\r\t":"\u0000\u001f\u00e9\ud83d\ude42"},"\u0000\"\\":' + entry() + "}",
    "valid-empty-name": one(""),
    "valid-huge": one(dtype="U8", shape="[2305843009213693951]", offsets="[0,2305843009213693951]"),
    "reject-bom": "\ufeff" + one(),
    "reject-utf8": one("a\udcff"),
    "reject-utf8-overlong": one("a\udcc0\udc80"),
    "reject-utf8-overlong-3": one("a\udce0\udc80\udc80"),
    "reject-utf8-overlong-4": one("a\udcf0\udc80\udc80\udc80"),
    "reject-utf8-beyond-unicode": one("a\udcf4\udc90\udc80\udc80"),
    "reject-utf8-surrogate": one("a\udced\udca0\udc80"),
    "reject-utf8-cut": '{"a\udce2\udc82',
    "reject-escaped-surrogate": one(r"\ud800"),
    "reject-not-json": '{"a":',
    "reject-trailing-text": one() + " x",
    "reject-trailing-comma": '{"a":' + entry() + ",}",
    "reject-nul": one() + "\0\0",
    "reject-array": "[]",
    "reject-blank": "        ",
    "reject-entry-number": '{"a":1}',
    "reject-entry-array": '{"a":[]}',
    "reject-entry-null": '{"a":null}',
    "reject-entry-text": '{"a":"F32"}',
    "reject-entry-empty": '{"a":{}}',
    "reject-dtype-unknown": one(dtype="F33"),
    "reject-dtype-object": '{"a":{"dtype":{},"shape":[4],"data_offsets":[0,16]}}',
    "reject-dtype-twice": one(extra=',"dtype":"F32"'),
    "reject-shape-missing": '{"a":{"dtype":"F32","data_offsets":[0,16]}}',
    "reject-shape-number": one(shape="4"),
    "reject-shape-negative": one(shape="[-4]"),
    "reject-shape-minus-zero": one(shape="[-0]"),
    "reject-shape-fraction": one(shape="[4.0]"),
    "reject-shape-exponent": one(shape="[1e999]"),
    "reject-shape-2-64": one(shape="[18446744073709551616]"),
    "reject-shape-nested": one(shape="[[4]]"),
    "reject-shape-object": one(shape="[{}]"),
    "reject-shape-text": one(shape='["4"]'),
    "reject-offsets-one": one(offsets="[16]"),
    "reject-offsets-three": one(offsets="[0,16,32]"),
    "reject-offsets-backwards": one(offsets="[16,0]"),
    "reject-offsets-start": one(offsets="[8,24]"),
    "reject-offsets-hole": two(entry(), entry(offsets="[20,36]")),
    "reject-offsets-overlap": two(entry(), entry(offsets="[8,24]")),
    "reject-name-twice": '{"a":' + entry() + ',"a":' + entry(shape="[0]", offsets="[0,0]") + "}",
    "reject-metadata-number": '{"__metadata__":{"a":1}}',
    "reject-metadata-object": '{"__metadata__":{"a":{}}}',
    "reject-metadata-array": '{"__metadata__":[]}',
    "reject-metadata-twice": '{"__metadata__":null,"__metadata__":{}}',
    "reject-metadata-key-twice": '{"__metadata__":{"a":"1","a":"2"}}',
    "reject-nesting": one(extra=',"x":' + "[" * 31 + "]" * 31),
    "reject-size-small": one(shape="[5]"),
    "reject-size-large": one(shape="[3]"),
    "reject-sub-byte": one(dtype="F4", shape="[3]", offsets="[0,1]"),
    "reject-product-overflow": one(shape="[4294967296,4294967296]"),
    "reject-product-wraps": one(dtype="U8", shape="[1152921504606846977,16]"),
    "reject-bits-overflow": one(dtype="F64", shape="[2305843009213693952]"),
    # Together with the header itself more than 2^64 bytes.
    "found-file-overflow": header(*((str(i), "U8", [2**61 - 1]) for i in range(8))),
    "valid-file-of-2-64-minus-1": header_of_largest_file(),
}

# * index -------------------------------------------------------------------------------------------

SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


def index(weight_map, **rest):
    return compact({**rest, "weight_map": weight_map})


INDICES = {
    "valid-two-shards": index({"a.weight": SHARDS[0], "a.bias": SHARDS[0], "b.weight": SHARDS[1]}, metadata={"total_size": 64}),
    "valid-one": index({"a": "a"}),
    "valid-unicode": index({"größe.重み": "модель 🎚.safetensors"}),
    "valid-escapes": r'{"weight_map":{"\u0000\"\\":"\u00e9\"\n","":"..."}}',
    "valid-unknown-nested": '{"x":' + "[{\"y\":" * 20 + "0" + "}]" * 20 + ',"weight_map":{"a":"b"}}',
    "valid-file-named-like-a-key": index({"weight_map": "weight_map"}),
    "reject-empty": "",
    "reject-not-json": '{"weight_map":{"a":"b"}',
    "reject-trailing-text": '{"weight_map":{"a":"b"}} x',
    "reject-nul": '{"weight_map":{"a":"b"}}\0',
    "reject-utf8": '{"weight_map":{"a\udcff":"b"}}',
    "reject-array": "[]",
    "reject-number": "1",
    "reject-no-map": "{}",
    "reject-map-array": index([]),
    "reject-map-null": index(None),
    "reject-map-empty": index({}),
    "reject-map-twice": '{"weight_map":{"a":"b"},"weight_map":{"a":"c"}}',
    "reject-tensor-twice": '{"weight_map":{"a":"b","a":"c"}}',
    "reject-key-twice-deep": '{"metadata":[{"a":{"x":1,"x":2}}],"weight_map":{"a":"b"}}',
    "reject-file-number": index({"a": 1}),
    "reject-file-object": index({"a": {}}),
    "reject-path-empty": index({"a": ""}),
    "reject-path-dot": index({"a": "."}),
    "reject-path-up": index({"a": ".."}),
    "reject-path-parent": index({"a": "../a.safetensors"}),
    "reject-path-absolute": index({"a": "/etc/passwd"}),
    "reject-path-backslash": index({"a": "..\\a.safetensors"}),
    "reject-path-nul": r'{"weight_map":{"a":"a\u0000.safetensors"}}',
    "found-number-out-of-range": '{"a":1e999,"weight_map":{"a":"b"}}',
}

# * rules -------------------------------------------------------------------------------------------


def rules(*items):
    return compact({"rules": items})


def keep(kind, pattern):
    return {"match": {kind: pattern}, "action": "keep"}


def quantize(**settings):
    return {"match": {"glob": "*"}, "action": "quantize", **settings}


RULES = {
    "valid-none": rules(),
    "valid-every-action": rules({**keep("contains", "lm_head"), "why": "it decides the next token"},
                                {"match": {"glob": "*.bias"}, "action": "cast", "dtype": "bf16"},
                                {"match": {"regex": r"^ema\."}, "action": "drop"}, quantize(format="fp8-block", block_size=64)),
    "valid-quantize-default": rules(quantize()),
    "valid-cast-f16": rules({"match": {"contains": "a"}, "action": "cast", "dtype": "f16"}),
    "valid-cast-f32": rules({"match": {"contains": "a"}, "action": "cast", "dtype": "f32"}),
    "valid-glob-stars": rules(keep("glob", "**a*b**c*"), keep("glob", "a"), keep("glob", "*.qkv.*"), keep("glob", "*a*a*a*b")),
    "valid-unicode": rules(keep("contains", "ï"), keep("glob", "*ï*"), keep("regex", "na.ve"), keep("regex", r"\pL+\x{10FFFF}?")),
    "valid-regex-classes": rules(keep("regex", r"(?i)^blocks\.([0-9]|1[0-8])\.(?:attn|mlp)\.[[:alpha:]_]+\b.*$")),
    "valid-regex-named": rules(keep("regex", r"(?P<block>\d+)\Q.*\E\w{2,5}?[^a-z\s]")),
    "valid-regex-flags": rules(keep("regex", r"(?ims)\A(a|b|)*\z|\C")),
    "valid-regex-repeats": rules(keep("regex", "(a{0,100}){0,10}b*")),
    "valid-block-size-limits": rules(quantize(block_size=1), quantize(block_size=65536)),
    "valid-every-format": rules(*(quantize(format=name) for name in ("fp8", "fp8-row", "fp8-block", "fp8-e5m2", "fp8-cast", "int8",
                                                                     "int8-row", "int8-block"))),
    "valid-format-empty": rules(quantize(format="")),
    "reject-empty": "",
    "reject-not-json": '{"rules":[',
    "reject-nul": '{"rules":[]}\0',
    "reject-utf8": '{"rules":["\udcff"]}',
    "reject-array": "[]",
    "reject-no-rules": "{}",
    "reject-rules-object": '{"rules":{}}',
    "reject-rule-number": "{\"rules\":[1]}",
    "reject-key-unknown": compact({"rules": [], "rule": []}),
    "reject-key-twice": '{"rules":[],"rules":[]}',
    "reject-key-misspelt": rules({**keep("contains", "a"), "wy": "x"}),
    "reject-match-missing": rules({"action": "keep"}),
    "reject-match-text": rules({"match": "a", "action": "keep"}),
    "reject-match-empty": rules({"match": {}, "action": "keep"}),
    "reject-match-array": rules({"match": ["a"], "action": "keep"}),
    "reject-match-two": rules({"match": {"glob": "a", "regex": "a"}, "action": "keep"}),
    "reject-match-misspelt": rules(keep("golb", "a")),
    "reject-pattern-empty": rules(keep("regex", "")),
    "reject-pattern-number": rules(keep("regex", 1)),
    "reject-regex": rules(keep("regex", "(")),
    "reject-regex-look-ahead": rules(keep("regex", "(?=a)")),
    "reject-regex-back-reference": rules(keep("regex", r"(a)\1")),
    "reject-regex-too-large": rules(keep("regex", "((a{100}){100}){100}")),
    "reject-regex-range": rules(keep("regex", "[z-a]")),
    "reject-regex-repeat": rules(keep("regex", "a{1001}")),
    "reject-action-missing": rules({"match": {"glob": "a"}}),
    "reject-action-misspelt": rules({"match": {"glob": "a"}, "action": "kepe"}),
    "reject-action-number": rules({"match": {"glob": "a"}, "action": 1}),
    "reject-format-on-keep": rules({**keep("glob", "a"), "format": "fp8"}),
    "reject-block-size-on-drop": rules({"match": {"glob": "a"}, "action": "drop", "block_size": 64}),
    "reject-dtype-on-quantize": rules(quantize(dtype="f16")),
    "reject-format-misspelt": rules(quantize(format="fp8_row")),
    "reject-block-size-0": rules(quantize(block_size=0)),
    "reject-block-size-65537": rules(quantize(block_size=65537)),
    "reject-block-size-negative": rules(quantize(block_size=-64)),
    "reject-block-size-fraction": rules(quantize(block_size=64.0)),
    "reject-dtype-missing": rules({"match": {"glob": "a"}, "action": "cast"}),
    "reject-dtype-unknown": rules({"match": {"glob": "a"}, "action": "cast", "dtype": "f64"}),
    "reject-why-array": rules({**keep("glob", "a"), "why": []}),
    "found-number-out-of-range": '{"rules":[1e999]}',
}

# * plan --------------------------------------------------------------------------------------------


def option_byte(indivisible=0, heuristic=0, target=0, quant_metadata=0, full_precision_mm=0, with_rules=0):
    """The digits that plan_fuzz.cpp decodes: error, keep, plain; none, size, divisible; comfyui, none; yes or no."""
    value = 0
    for digit, base in ((with_rules, 2), (full_precision_mm, 2), (quant_metadata, 2), (target, 2), (heuristic, 3), (indivisible, 3)):
        value = value * base + digit
    return bytes([value])


def plan(text, side=None, **options):
    return option_byte(**options) + text.encode() + (b"" if side is None else b"\0" + side.encode())


SMALL = (("a.weight", "BF16", [16, 32]), ("a.bias", "F32", [16]), ("norm.weight", "F16", [32]))
TILES = (("tile.weight", "F32", [128, 256]), ("tile2.weight", "F16", [64, 64]), ("cast.weight", "F64", [64, 64]))
RAGGED = (("ragged.weight", "BF16", [67, 129]), ("row.weight", "F16", [1, 301]), ("column.weight", "F32", [299, 1]))
ODD = (("drop.weight", "I64", [8, 8]), ("b.weight", "F4", [8, 8]), (".weight", "F32", [1, 1]), ("c.weight", "F32", [0, 16]))
FLUX2 = (("double_stream_modulation_img.lin.weight", "BF16", [64, 64]), ("img_in.weight", "BF16", [64, 64]),
         ("double_blocks.0.img_attn.qkv.weight", "BF16", [128, 64]), ("single_blocks.0.linear1.weight", "BF16", [64, 128]))


def stored(dtype, scale_shape, texts=("q.comfy_quant",)):
    tensors = [("q.weight", dtype, [128, 256]), ("other.weight", "BF16", [64, 64])]
    if scale_shape is not None:
        tensors.append(("q.weight_scale", "F32", scale_shape))
    return header(*tensors, *((name, "U8", [8]) for name in texts))


def layer(fmt, **facts):
    return json.dumps({"format": fmt, **facts})


def deep(levels):
    return "[" * levels + "]" * levels


def in_header(layers):
    return header(("q.weight", "F8_E4M3", [64, 128]), ("q.weight_scale", "F32", []),
                  metadata={"_quantization_metadata": layers if isinstance(layers, str) else json.dumps(layers)})


PLANS = {
    "valid-no-tensors": plan("{}"),
    "valid-small": plan(header(*SMALL)),
    "valid-rules": plan(header(*SMALL, *TILES, *ODD), with_rules=1, indivisible=1),
    "valid-tiles": plan(header(*TILES), target=1),
    "valid-ragged-error": plan(header(*RAGGED), target=1),
    "valid-ragged-keep": plan(header(*RAGGED), indivisible=1, target=1),
    "valid-ragged-plain": plan(header(*RAGGED), indivisible=2, target=1),
    "valid-ragged-comfyui": plan(header(*RAGGED), indivisible=2),
    "valid-odd": plan(header(*ODD)),
    "valid-heuristic-size": plan(header(*SMALL, *TILES, ("big.weight", "BF16", [4096, 8192])), heuristic=1),
    "valid-heuristic-divisible": plan(header(*RAGGED, *TILES), heuristic=2),
    "valid-metadata": plan(header(*SMALL, metadata={"format": "pt"}), quant_metadata=1),
    "valid-full-precision": plan(header(*SMALL, *RAGGED), full_precision_mm=1, indivisible=2),
    "valid-flux2": plan(header(*FLUX2)),
    "valid-unicode": plan(header(("größe.重み.weight", "BF16", [16, 16]), metadata={"ключ": "🎚"}), quant_metadata=1),
    "valid-stored-fp8": plan(stored("F8_E4M3", []), layer("float8_e4m3fn")),
    "valid-stored-fp8-row": plan(stored("F8_E4M3", [128]), layer("float8_e4m3fn_rowwise")),
    "valid-stored-fp8-block": plan(stored("F8_E4M3", [2, 4]), layer("float8_e4m3fn_blockwise", group_size=64)),
    "valid-stored-fp8-e5m2": plan(stored("F8_E5M2", []), layer("float8_e5m2")),
    "valid-stored-fp8-cast": plan(stored("F8_E4M3", None, ())),
    "valid-stored-int8": plan(stored("I8", []), layer("int8_tensorwise")),
    "valid-stored-int8-row": plan(stored("I8", [128, 1]), layer("int8_tensorwise", per_row=True)),
    "valid-stored-int8-block": plan(stored("I8", [1, 2]), layer("int8_blockwise", group_size=128)),
    "valid-stored-companions-of-both-layouts": plan(header(("q.weight", "F8_E4M3", [16, 16]), ("q.weight_scale", "F32", []),
                                                           ("q.input_scale", "F32", []), ("q.scale_input", "F32", [1]),
                                                           ("q.comfy_quant", "U8", [8])), layer("float8_e4m3fn")),
    "valid-stored-legacy": plan(header(("q.weight", "F8_E4M3", [16, 16]), ("q.scale_weight", "F32", [1]), ("scaled_fp8", "F8_E4M3", [2]))),
    "valid-stored-older-int8": plan(header(("q.weight", "I8", [16, 16]), ("q.scale_weight", "F32", [16]), ("scaled_int8", "I8", [0]),
                                           ("norm.weight", "BF16", [16]), ("norm.scale_weight", "F32", []))),
    "valid-stored-rotated": plan(stored("I8", [128, 1]), layer("int8_tensorwise", convrot=True)),
    "valid-stored-in-header": plan(in_header({"format_version": "1.0", "layers": {"q": {"format": "float8_e4m3fn"}}}), quant_metadata=1),
    "valid-stored-rotated-nested": plan(stored("I8", [128, 1]), layer("int8_tensorwise", params={"convrot": True, "convrot_groupsize": 64})),
    "valid-stored-nvfp4": plan(header(("q.weight", "U8", [144, 128]), ("q.weight_scale", "F8_E4M3", [256, 16]),
                                      ("q.weight_scale_2", "F32", []), ("q.comfy_quant", "U8", [8])),
                               layer("nvfp4", group_size=16, orig_shape=[130, 250])),
    "valid-stored-mxfp8": plan(header(("q.weight", "F8_E4M3", [160, 256]), ("q.weight_scale", "U8", [256, 8]),
                                      ("q.comfy_quant", "U8", [8])), layer("mxfp8")),
    "valid-stored-w4a4": plan(stored("I8", [128]), layer("convrot_w4a4", convrot_groupsize=64)),
    "valid-stored-w4a8": plan(header(("q.weight", "I8", [8, 64]), ("q.weight_s_rel", "F8_E4M3", [8, 8]), ("q.weight_s_channel", "F32", [8]),
                                     ("q.weight_codebook", "F32", [16]), ("q.comfy_quant", "U8", [8])),
                              layer("asym_w4a8_int8", group_size=16, convrot_groupsize=64)),
    "valid-stored-nf4": plan(header(("q.weight", "U8", [32, 1]), ("q.weight.absmax", "F32", [1]), ("q.weight.quant_map", "F32", [16]),
                                    ("q.weight.quant_state.bitsandbytes__nf4", "U8", [8])),
                             json.dumps({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [9, 7]})),
    "valid-stored-nf4-nested": plan(header(("q.weight", "U8", [32, 1]), ("q.weight.absmax", "U8", [1]), ("q.weight.nested_absmax", "F32", [1]),
                                           ("q.weight.nested_quant_map", "F32", [256]), ("q.weight.quant_map", "F32", [16]),
                                           ("q.weight.quant_state.bitsandbytes__nf4", "U8", [8])),
                                    json.dumps({"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [9, 7],
                                                "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": 0.5})),
    "reject-stored-shape-overflow": plan(stored("U8", [64]), layer("nvfp4", orig_shape=[2**63, 2**63])),
    "reject-stored-unknown": plan(stored("U8", [64]), layer("nvfp4")),
    "valid-stored-companions-only": plan(header(("q.weight_scale", "F32", []), ("q.comfy_quant", "U8", [8])), layer("float8_e4m3fn")),
    "reject-stored-not-json": plan(stored("I8", []), "{"),
    "reject-stored-no-text": plan(stored("I8", [])),
    "reject-stored-no-format": plan(stored("I8", []), "{}"),
    "reject-stored-format-number": plan(stored("I8", []), '{"format": 1}'),
    "reject-stored-group-size-0": plan(stored("I8", [1, 2]), layer("int8_blockwise", group_size=0)),
    "reject-stored-group-size-negative": plan(stored("I8", [128]), layer("asym_w4a8_int8", group_size=-16, convrot_groupsize=64)),
    "reject-stored-rotation-group-0": plan(stored("I8", [128, 1]), layer("int8_tensorwise", convrot=True, convrot_groupsize=0)),
    "reject-stored-group-size-2-32": plan(stored("I8", [1, 2]), layer("int8_blockwise", group_size=2**32 + 128)),
    "reject-header-not-json": plan(in_header("{"), quant_metadata=1),
    "reject-header-layers-array": plan(in_header({"layers": []}), quant_metadata=1),
    "reject-header-layer-number": plan(in_header({"layers": {"q": 1}}), quant_metadata=1),
    "mixed-output-name-twice": plan(header(("a.weight", "BF16", [16, 16]), ("a.weight_scale", "F32", [1])), target=1),
    "mixed-scales-overflow": plan(header(("a.weight", "F16", [2**59, 1])), target=1),
    "reject-bad-header": plan('{"a":1}'),
    # Dequantized, the data just fit 2^64 bytes, but not with the header.
    "found-output-overflow": plan(header(*((f"{i}.weight", "F8_E4M3", [2**59 - 1, 1]) for i in range(8)))),
    "found-convrot-text": plan(stored("I8", [128, 1]), layer("int8_tensorwise", convrot="yes")),
    "found-convrot-null-in-header": plan(in_header({"layers": {"q": {"format": "float8_e4m3fn", "convrot": None}}})),
    # A label that is written anew takes the type of a text.
    "found-label-of-floats": plan(header(("q.weight", "F8_E4M3", [64, 128]), ("q.weight_scale", "F32", [1, 2]), ("q.comfy_quant", "F32", [2])),
                                  layer("float8_e4m3fn_blockwise", params={"group_size": 64})),
    # Deeper than the stack: copying and writing such a document is recursive.
    "found-deep-header": plan(in_header('{"layers":{"q":{"format":"float8_e4m3fn","x":' + deep(30_000) + "}}}"), quant_metadata=1),
    "found-deep-side-text": plan(stored("I8", []), '{"format":"int8_tensorwise","x":' + deep(30_000) + "}"),
}

SEEDS = {
    "header": {**WHOLE_FILES, **{name: framed(text) for name, text in HEADERS.items()}},
    "index": {name: text.encode("utf-8", "surrogateescape") for name, text in INDICES.items()},
    "rules": {name: text.encode("utf-8", "surrogateescape") for name, text in RULES.items()},
    "plan": PLANS,
}


def main():
    check = sys.argv[1:] == ["--check"]
    wanted = {CORPUS / target / name: data for target, seeds in SEEDS.items() for name, data in seeds.items()}
    stale = [path for path in CORPUS.glob("*/*") if path not in wanted]
    wrong = [path for path, data in wanted.items() if not path.is_file() or path.read_bytes() != data]
    if check:
        for path in sorted(stale + wrong):
            print(f"{path} is not what make_seeds.py writes", file=sys.stderr)
        return 1 if stale or wrong else 0
    for path in stale:
        path.unlink()
    for path in wrong:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[path])
    print(f"{len(wanted)} seeds, {len(wrong)} written, {len(stale)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
