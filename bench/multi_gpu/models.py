"""models.py FOLDER: writes what commands.sh converts.

plain.safetensors  72 weights of 8192 x 8192, BF16, 9.66 GB
learn.safetensors  64 weights of 4096 x 4096, BF16, 1.07 G elements
long.safetensors   256 of them, 4.3 G elements
stats.safetensors  second moments of the inputs of those 64 layers
"""
import json
import sys

import numpy as np

FOLDER = sys.argv[1]
LAYERS = 64
SIDE = 4096
RANDOM = np.random.default_rng(3)
# Normal weights as BF16, cut from binary32; layers begin at different places of them.
WEIGHTS = ((RANDOM.standard_normal(1 << 25, dtype=np.float32) * 0.02).view(np.uint32) >> 16).astype(np.uint16)


def write(name, tensors):
    """`tensors`: (name, type, shape, list of arrays) each."""
    head, end = {}, 0
    for key, dtype, shape, parts in tensors:
        begin, end = end, end + sum(part.nbytes for part in parts)
        head[key] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(head, separators=(",", ":"))
    text += " " * (-len(text) % 8)
    with open(f"{FOLDER}/{name}.safetensors", "wb", buffering=0) as file:
        file.write(len(text).to_bytes(8, "little") + text.encode())
        for tensor in tensors:
            for part in tensor[3]:
                file.write(part)


def weight(i, side):
    parts, left, begin = [], side * side, i * 7919 * 64 % (len(WEIGHTS) // 2)
    while left > 0:
        parts.append(WEIGHTS[begin:begin + left])
        left -= len(parts[-1])
        begin = 0
    return f"b.{i}.fc.weight", "BF16", [side, side], parts


inputs = RANDOM.standard_normal((2 * SIDE, SIDE), dtype=np.float32) * np.arange(1, SIDE + 1, dtype=np.float32) ** -0.25
moment = inputs.T @ inputs / np.float32(len(inputs))
write("plain", [weight(i, 8192) for i in range(72)])
write("learn", [weight(i, SIDE) for i in range(LAYERS)])
write("long", [weight(i, SIDE) for i in range(4 * LAYERS)])
write("stats", [(f"b.{i}.fc.second_moment", "F32", [SIDE, SIDE], [moment]) for i in range(LAYERS)]
      + [(f"b.{i}.fc.count", "I64", [1], [np.array([len(inputs)])]) for i in range(LAYERS)])
