"""How far conversions move the answers of the demo's model.

    drift.py PROGRAM MODEL SENTENCES FILE...

PROGRAM is halftone, MODEL the folder of the demo's model, SENTENCES a text file with a sentence a line, each FILE the
model in a quantized format.  Drift is 1 - the mean cosine of the embeddings with those of the original.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from demo import mean_cosine
from encoder import Encoder
from safetensors.numpy import load_file


def main(program, model, sentences, *files):
    encoder = Encoder(model)
    sequences = encoder.tokens(pathlib.Path(sentences).read_text(encoding="utf-8").splitlines())
    original = load_file(f"{model}/model.safetensors")
    reference = encoder.embed(original, sequences)
    print(f"{len(sequences)} sentences, {sum(map(len, sequences))} tokens")
    for file in files:
        embeddings = encoder.embed(dequantized(program, file), sequences)
        spread = np.std((reference * embeddings).sum(axis=1)) / np.sqrt(len(sequences))
        print(f"{1 - mean_cosine(reference, embeddings):.6f} ± {spread:.6f}  {file}")


def dequantized(program, file):
    with tempfile.TemporaryDirectory() as folder:
        plain = pathlib.Path(folder, "plain.safetensors")
        subprocess.run(
            [program, "dequantize", file, "-o", plain, "--dtype", "f32", "--quiet"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        return load_file(plain)


if __name__ == "__main__":
    main(*sys.argv[1:])
