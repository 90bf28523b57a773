"""The demo's sentence encoder on many sentences: in batches, with a look at every layer's input."""

import json
import pathlib

import bert
import numpy as np
from tokenizers import Tokenizer

# Sentences that are computed together: enough for the matrix products, few enough for the caches.
BATCH = 16


class Encoder:
    """`model` is the demo's folder: configuration and tokenizer; weights are given with each call."""

    def __init__(self, model):
        self._config = json.loads(pathlib.Path(model, "config.json").read_text())
        self._tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
        self._tokenizer.no_padding()  # batches are padded here, to their longest sentence

    def tokens(self, sentences):
        """The token numbers of each sentence."""
        return [np.array(encoding.ids) for encoding in self._tokenizer.encode_batch(sentences)]

    def random_tokens(self, n_sequences, length, seed):
        """Sequences without sense, each between the marks of a sentence's begin and end."""
        begin, end = self._tokenizer.encode("").ids
        random = np.random.default_rng(seed)
        return [
            np.array([begin, *random.integers(1000, self._config["vocab_size"], length - 2), end])
            for _ in range(n_sequences)
        ]

    def embed(self, weights, sequences, linear=bert.plain_linear):
        """One unit-length row per sequence.  `linear` is called without padding: its values are (tokens, width)."""
        order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
        rows = [None] * len(sequences)
        for first in range(0, len(order), BATCH):
            chosen = order[first : first + BATCH]
            token_ids, mask = _padded([sequences[i] for i in chosen])
            for i, row in zip(
                chosen, bert.embed(weights, self._config, token_ids, mask, _of_real_tokens(linear, mask))
            ):
                rows[i] = row
        return np.array(rows)


def _padded(sequences):
    longest = max(map(len, sequences))
    mask = np.array([[1] * len(sequence) + [0] * (longest - len(sequence)) for sequence in sequences])
    token_ids = np.zeros_like(mask)
    for row, sequence in zip(token_ids, sequences):
        row[: len(sequence)] = sequence
    return token_ids, mask


def _of_real_tokens(linear, mask):
    real = mask == 1

    def of_all(weights, name, values):
        products = linear(weights, name, values[real])
        padded = np.zeros((*mask.shape, products.shape[1]), products.dtype)
        padded[real] = products
        return padded

    return of_all
