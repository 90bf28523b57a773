"""Statistics of the demo's model for learned rounding, with numpy alone.

    demo_statistics.py MODEL OUT SENTENCES      of the sentences in a text file, one a line
    demo_statistics.py MODEL OUT --random N     of N sequences of random tokens

MODEL is the folder of the demo's model.  docs/STATISTICS.md says what OUT holds.
"""

import sys

import bert
import numpy as np
from encoder import Encoder
from safetensors.numpy import load_file, save_file

RANDOM_LENGTH, RANDOM_SEED = 32, 1


class Moments:
    """Sums over the vectors that reach a layer."""

    def __init__(self, width):
        self.count = 0
        self._sum = np.zeros(width)
        self._products = np.zeros((width, width))

    def add(self, vectors):
        self.count += len(vectors)
        self._sum += vectors.sum(axis=0, dtype=np.float64)
        self._products += vectors.T @ vectors

    def mean(self):
        return (self._sum / self.count).astype(np.float32)

    def second_moment(self):
        return (self._products / self.count).astype(np.float32)


def collect(encoder, weights, sequences):
    """The moments of every layer by its name; layers with the same input have the same object."""
    moments = {}
    last_values, last_name = None, None

    def observe(weights, name, values):
        nonlocal last_values, last_name
        if last_values is None or values.shape != last_values.shape or not np.array_equal(values, last_values):
            moments.setdefault(name, Moments(values.shape[1])).add(values)
            last_values, last_name = values, name
        moments[name] = moments[last_name]
        return bert.plain_linear(weights, name, values)

    encoder.embed(weights, sequences, observe)
    return moments


def main(model, out, source, n_random=None):
    encoder = Encoder(model)
    if source == "--random":
        sequences = encoder.random_tokens(int(n_random), RANDOM_LENGTH, RANDOM_SEED)
    else:
        with open(source, encoding="utf-8") as file:
            sequences = encoder.tokens(file.read().splitlines())
    moments = collect(encoder, load_file(f"{model}/model.safetensors"), sequences)
    tensors = {}
    for name, of_layer in moments.items():
        tensors[f"{name}.second_moment"] = of_layer.second_moment()
        tensors[f"{name}.mean"] = of_layer.mean()
        tensors[f"{name}.count"] = np.array([of_layer.count], np.int64)
    save_file(tensors, out, metadata={"format": "halftone-statistics", "version": "1"})
    print(f"{out}: {len(moments)} layers, {sum(map(len, sequences))} tokens in {len(sequences)} sequences")


if __name__ == "__main__":
    main(*sys.argv[1:])
