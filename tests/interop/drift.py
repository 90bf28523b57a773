"""How far conversions move the answers of the demo's model, beside what `halftone eval` says of their layers.

    drift.py PROGRAM MODEL SENTENCES FILE...

PROGRAM is halftone, MODEL the folder of the demo's model, SENTENCES a text file with a sentence a line, each FILE the
model in a quantized format.  Drift is 1 - the mean cosine of the embeddings with those of the original.  The outputs of
layers are measured on what reaches them in the original from the first sentences; quantized inputs (W+A) are as
ComfyUI has them, while embeddings are computed with inputs as they are.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import bert
import numpy as np
from demo import mean_cosine
from encoder import Encoder
from safetensors.numpy import load_file, save_file

# Vectors for each layer that eval gets: some times as many as make its figures steady, and few enough for a small file.
MOST_INPUTS = 256


def main(program, model, sentences, *files):
    encoder = Encoder(model)
    sequences = encoder.tokens(pathlib.Path(sentences).read_text(encoding="utf-8").splitlines())
    source = f"{model}/model.safetensors"
    original = load_file(source)
    reference = encoder.embed(original, sequences)
    print(f"{len(sequences)} sentences, {sum(map(len, sequences))} tokens")
    print(f"{'drift':>19} {'SQNR dB':>8} {'out W':>8} {'out W+A':>8} {'MB':>6}  file")
    with tempfile.TemporaryDirectory() as folder:
        inputs = pathlib.Path(folder, "inputs.safetensors")
        save_file(layer_inputs(encoder, original, sequences), inputs)
        for file in files:
            embeddings = encoder.embed(dequantized(program, file), sequences)
            spread = np.std((reference * embeddings).sum(axis=1)) / np.sqrt(len(sequences))
            drift = f"{1 - mean_cosine(reference, embeddings):.6f} ± {spread:.6f}"
            print(f"{drift:>19} {figures(evaluate(program, file, source, inputs))}  {file}")


def layer_inputs(encoder, weights, sequences):
    """`L.input` of every layer L: what the first sentences bring to it, MOST_INPUTS vectors at most."""
    inputs = {}

    def observe(weights, name, values):
        before = inputs.get(f"{name}.input", values[:0])
        inputs[f"{name}.input"] = np.concatenate([before, values[: MOST_INPUTS - len(before)]]).astype(np.float32)
        return bert.plain_linear(weights, name, values)

    first, tokens = [], 0
    for sequence in sequences:
        if tokens >= MOST_INPUTS:
            break
        first.append(sequence)
        tokens += len(sequence)
    encoder.embed(weights, first, observe)
    return inputs


def evaluate(program, file, source, inputs):
    """The report of eval."""
    command = [program, "eval", file, "--source", source, "--activations", inputs, "--advise", "0", "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def figures(report):
    """SQNR of all weights, relative errors of all outputs, and the size."""
    total = report["total"]
    outputs = total["output"]
    both = outputs["weights_and_inputs"]
    with_inputs = f"{both['rel_l2']:8.4f}" if both else f"{'-':>8}"
    decibels = f"{total['sqnr_db']:8.2f}" if total["sqnr_db"] is not None else f"{'-':>8}"
    return f"{decibels} {outputs['weights']['rel_l2']:8.4f} {with_inputs} {report['bytes'] / 1e6:6.1f}"


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
