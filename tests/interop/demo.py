"""Shows what the demo's converted files hold and how far they move the model's answers.

    demo.py MODEL FORMAT...    reads MODEL/model.safetensors, MODEL-FORMAT.safetensors (converted)
                               and MODEL-FORMAT-f32.safetensors (converted and dequantized)

Ends with an error when a conversion changes the model more, or less, than its format should.
"""

import collections
import json
import pathlib
import sys

import bert
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file
from tokenizers import Tokenizer

# Neighbours mean similar things, so the nearest sentence of each is its neighbour.
SENTENCES = [
    "A man is eating a piece of bread.",
    "Someone is having some food.",
    "A cheetah is running behind its prey.",
    "The fast cat chases an antelope.",
    "Share prices fell sharply today.",
    "The stock market lost value as investors sold.",
    "How do I reset my password?",
    "I forgot my login and cannot get into my account.",
    "It will be warm and sunny tomorrow.",
    "The forecast promises a bright summer day.",
    "She plays the violin in an orchestra.",
    "The musician performs classical concerts on stage.",
]
NEIGHBOURS = [i ^ 1 for i in range(len(SENTENCES))]

# 1 - mean cosine after rounding the encoder's matrices to nearest, measured with an independent quantizer.
EXPECTED_MOVE = {"fp8": 0.0016, "int8-row": 0.0004}
# More than this factor above is a defect; as far below 1 as LEAST, most matrices were not quantized at all.
MOST, LEAST = 1.5, 0.1

MATRICES_PER_LAYER = 6  # query, key, value, attention output, intermediate, output


def main(model, formats):
    original = f"{model}/model.safetensors"
    config = json.loads(pathlib.Path(model, "config.json").read_text())

    print("\nRead by the Python package safetensors:")
    describe(original)
    for name in formats:
        n_quantized = describe(f"{model}-{name}.safetensors")
        n_expected = MATRICES_PER_LAYER * config["num_hidden_layers"]
        if n_quantized != n_expected:
            sys.exit(f"demo: {model}-{name}.safetensors has {n_quantized} quantized layers, expected {n_expected}.")

    print(f"\n{len(SENTENCES)} sentences embedded with the original and with the dequantized weights:")
    embed = make_encoder(model, config)
    reference = embed(load_file(original))
    if nearest(reference) != NEIGHBOURS:
        sys.exit("demo: with the original weights, similar sentences are not nearest to each other.")
    for name in formats:
        compare(name, reference, embed(load_file(f"{model}-{name}-f32.safetensors")))


def describe(path):
    """Prints a line about the file and returns its number of quantized layers."""
    with safe_open(path, framework="numpy") as file:
        names = list(file.keys())
        dtypes = collections.Counter(file.get_slice(name).get_dtype() for name in names)
    counts = ", ".join(f"{count} {dtype}" for dtype, count in dtypes.most_common())
    print(f"  {path:27} {pathlib.Path(path).stat().st_size / 1e6:5.1f} MB   tensors: {counts}")
    return sum(name.endswith(".comfy_quant") for name in names)


def make_encoder(model, config):
    tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
    tokenizer.enable_padding()  # to the longest sentence, instead of the file's fixed 128 tokens
    encodings = tokenizer.encode_batch(SENTENCES)
    token_ids = np.array([encoding.ids for encoding in encodings])
    mask = np.array([encoding.attention_mask for encoding in encodings])
    return lambda weights: bert.embed(weights, config, token_ids, mask)


def compare(name, reference, embeddings):
    move = 1 - mean_cosine(reference, embeddings)
    n_same = sum(a == b for a, b in zip(nearest(reference), nearest(embeddings)))
    print(f"  {name:10} 1 - mean cosine {move:.5f}   nearest sentence unchanged for {n_same} of {len(SENTENCES)}")
    most, least = MOST * EXPECTED_MOVE[name], LEAST * EXPECTED_MOVE[name]
    # Written so that NaN, which fails every comparison, ends here too.
    if not least <= move <= most:
        sys.exit(f"demo: {name} moved the embeddings by {move:.6f}; between {least:.6f} and {most:.6f} was expected.")


def mean_cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return ((a * b).sum(axis=1) / lengths).mean()


def nearest(embeddings):
    similarity = embeddings @ embeddings.T
    np.fill_diagonal(similarity, -np.inf)
    return similarity.argmax(axis=1).tolist()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
