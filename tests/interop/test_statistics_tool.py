"""What the statistics script does without PyTorch: its files, and the demo's moments in numpy."""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np
import safetensors
from safetensors.numpy import load_file, save_file

import bert
import demo_statistics
import drift
from encoder import Encoder

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "collect_stats"))

from halftone_stats.safetensors_files import BadFile, Model, replace_tensors, write_subset  # noqa: E402
from halftone_stats.statistics_file import NotFinite, statistics_file  # noqa: E402

PROGRAM = os.path.abspath(os.environ.get("HALFTONE_BIN", "halftone"))


class FolderTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def files(self):
        return sorted(file.name for file in self.folder.iterdir())


class StatisticsFileTest(FolderTest):
    def test_package_reads_what_was_added(self):
        second = np.arange(9, dtype=np.float32).reshape(3, 3)
        # Layers that were announced and not added leave no hole; names may need escapes.
        with statistics_file(self.folder / "s.safetensors", ["a", 'b "ü"', "c"]) as writer:
            writer.add('b "ü"', {"second_moment": second, "mean": [0.5, 1.5, -2], "count": 7})
            writer.add("a", {"diag": np.ones(2), "count": 1})
        found = load_file(self.folder / "s.safetensors")
        self.assertEqual(sorted(found), ["a.count", "a.diag", 'b "ü".count', 'b "ü".mean', 'b "ü".second_moment'])
        np.testing.assert_array_equal(found['b "ü".second_moment'], second)
        self.assertEqual(found['b "ü".mean'].tolist(), [0.5, 1.5, -2])
        self.assertEqual((found['b "ü".count'].dtype, found['b "ü".count'].tolist()), (np.int64, [7]))
        with safetensors.safe_open(self.folder / "s.safetensors", framework="numpy") as file:
            self.assertEqual(file.metadata(), {"format": "halftone-statistics", "version": "1"})

    def test_bf16_is_rounded_to_nearest_even(self):
        values = np.array([[1.0, 1 + 2**-8], [1 + 3 * 2**-8, -(1 + 2**-8 + 2**-20)]], np.float32)
        with statistics_file(self.folder / "s.safetensors", ["a"], "BF16") as writer:
            writer.add("a", {"second_moment": values, "mean": np.array([1 + 2**-20, 0])})
        model = Model(self.folder / "s.safetensors")
        self.assertEqual(model.entry("a.second_moment")["dtype"], "BF16")
        bits = np.frombuffer(model.bytes("a.second_moment"), "<u2").astype("<u4") << 16
        # 1 + 2^-8 and 1 + 3 * 2^-8 are ties.
        self.assertEqual(bits.view("<f4").tolist(), [1.0, 1.0, 1 + 2**-6, -(1 + 2**-7)])
        self.assertEqual(model.entry("a.mean")["dtype"], "F32")

    def test_failure_leaves_no_file(self):
        with self.assertRaisesRegex(NotFinite, r"layer\.3\.mean is not finite"):
            with statistics_file(self.folder / "s.safetensors", ["layer.3"]) as writer:
                writer.add("layer.3", {"mean": [1, np.inf]})
        self.assertEqual(self.files(), [])


class FilesTest(FolderTest):
    def model(self):
        random = np.random.default_rng(11)
        tensors = {
            f"blocks.{i}.{kind}": random.normal(size=shape).astype(np.float32)
            for i in range(3)
            for kind, shape in (("weight", (48, 64)), ("bias", (48,)))
        }
        save_file(tensors, self.folder / "model.safetensors", metadata={"note": "kept"})
        return self.folder / "model.safetensors"

    def convert(self, source, out, *options):
        subprocess.run(
            [PROGRAM, "convert", source, "-o", out, "--preset", "none", "--quiet", *options],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def test_layers_converted_apart_are_the_bytes_of_the_whole_conversion(self):
        model, whole, parts = self.model(), self.folder / "whole.safetensors", self.folder / "parts.safetensors"
        self.convert(model, whole, "--format", "nvfp4", "--scales", "search")
        self.convert(model, parts, "--format", "nvfp4")  # other scales: all of its layers are to be replaced
        self.assertNotEqual(whole.read_bytes(), parts.read_bytes())
        for i in range(3):
            part, result = self.folder / f"part-{i}.safetensors", self.folder / f"result-{i}.safetensors"
            write_subset(Model(model), [f"blocks.{i}.weight", f"blocks.{i}.bias"], part)
            self.convert(part, result, "--like", parts, "--scales", "search")
            replace_tensors(parts, Model(result))
        self.assertEqual(whole.read_bytes(), parts.read_bytes())

    def test_tensor_of_another_type_is_refused(self):
        model = self.model()
        for name, values in (
            ("blocks.0.bias", np.zeros(48, np.float16)),
            ("blocks.0.bias", np.zeros(47, np.float32)),
            ("other", np.zeros(1)),
        ):
            save_file({name: values}, self.folder / "other.safetensors")
            before = model.read_bytes()
            with self.assertRaisesRegex(BadFile, name):
                replace_tensors(model, Model(self.folder / "other.safetensors"))
            self.assertEqual(model.read_bytes(), before)

    def test_shards_are_one_model(self):
        for i in range(2):
            save_file({f"t{i}": np.full(3, i, np.float32)}, self.folder / f"m-{i}.safetensors")
        index = self.folder / "m.safetensors.index.json"
        index.write_text(json.dumps({"weight_map": {f"t{i}": f"m-{i}.safetensors" for i in range(2)}}))
        for path in (index, self.folder):
            self.assertEqual(Model(path).bytes("t1"), np.ones(3, np.float32).tobytes())
        index.unlink()
        with self.assertRaisesRegex(BadFile, "2 safetensors files"):
            Model(self.folder)

    def test_file_that_is_none_is_refused(self):
        for content in (b"", b"short", b"\xff" * 20, b"\x04\0\0\0\0\0\0\0[1]x"):
            (self.folder / "x.safetensors").write_bytes(content)
            with self.assertRaisesRegex(BadFile, "no safetensors file"):
                Model(self.folder / "x.safetensors")


class DemoStatisticsTest(FolderTest):
    """A small encoder with random weights."""

    CONFIG = {"num_hidden_layers": 2, "num_attention_heads": 2, "layer_norm_eps": 1e-12}
    WIDTH, INNER, N_TOKENS = 8, 16, 20

    def setUp(self):
        super().setUp()
        random = np.random.default_rng(5)

        def array(*shape):
            return random.normal(size=shape).astype(np.float32)

        self.weights = {
            f"embeddings.{name}_embeddings.weight": array(20, self.WIDTH) for name in ("word", "position", "token_type")
        }
        norms, layers = ["embeddings.LayerNorm"], {}
        for i in range(2):
            name = f"encoder.layer.{i}"
            norms += [f"{name}.attention.output.LayerNorm", f"{name}.output.LayerNorm"]
            layers |= {
                f"{name}.attention.{part}": (self.WIDTH, self.WIDTH)
                for part in ("self.query", "self.key", "self.value", "output.dense")
            }
            layers |= {
                f"{name}.intermediate.dense": (self.INNER, self.WIDTH),
                f"{name}.output.dense": (self.WIDTH, self.INNER),
            }
        for name in norms:
            self.weights |= {f"{name}.weight": array(self.WIDTH), f"{name}.bias": array(self.WIDTH)}
        for name, (rows, columns) in layers.items():
            self.weights |= {f"{name}.weight": array(rows, columns), f"{name}.bias": array(rows)}
        self.layers = layers
        self.encoder = Encoder.__new__(Encoder)  # without a tokenizer
        self.encoder._config = self.CONFIG
        self.sequences = [random.integers(0, self.N_TOKENS, n) for n in (3, 9, 1, 5, 9)]

    def test_padding_changes_no_embedding(self):
        together = self.encoder.embed(self.weights, self.sequences)
        for row, sequence in zip(together, self.sequences):
            alone = bert.embed(self.weights, self.CONFIG, sequence[None], np.ones((1, len(sequence))))
            np.testing.assert_allclose(row, alone[0], atol=1e-5)  # F32 sums in another order

    def test_moments_are_of_every_token_and_of_no_padding(self):
        moments = demo_statistics.collect(self.encoder, self.weights, self.sequences)
        self.assertEqual(sorted(moments), sorted(self.layers))
        self.assertIs(moments["encoder.layer.1.attention.self.query"], moments["encoder.layer.1.attention.self.value"])
        seen = {name: [] for name in self.layers}

        def keep(weights, name, values):
            seen[name].append(values.reshape(-1, values.shape[-1]).astype(np.float64))
            return bert.plain_linear(weights, name, values)

        for sequence in self.sequences:
            bert.embed(self.weights, self.CONFIG, sequence[None], np.ones((1, len(sequence))), keep)
        for name, values in seen.items():
            x = np.concatenate(values)
            scale = np.abs(x).max() ** 2
            self.assertEqual(moments[name].count, sum(map(len, self.sequences)))
            np.testing.assert_allclose(moments[name].second_moment(), x.T @ x / len(x), atol=1e-5 * scale, err_msg=name)
            np.testing.assert_allclose(moments[name].mean(), x.mean(axis=0), atol=1e-5 * scale, err_msg=name)

    def test_layers_are_evaluated_on_what_reaches_them(self):
        inputs = drift.layer_inputs(self.encoder, self.weights, self.sequences)
        moments = demo_statistics.collect(self.encoder, self.weights, self.sequences)
        self.assertEqual(sorted(inputs), sorted(f"{name}.input" for name in self.layers))
        for name, of_layer in moments.items():
            np.testing.assert_allclose(inputs[f"{name}.input"].mean(axis=0), of_layer.mean(), rtol=1e-4, atol=1e-4)
        source, file, given = (self.folder / f"{name}.safetensors" for name in ("source", "fp8", "inputs"))
        save_file(self.weights, source)
        save_file(inputs, given)
        command = [PROGRAM, "convert", source, "--format", "fp8", "--preset", "none", "--include", "^encoder", "-o", file]
        subprocess.run([*command, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        report = drift.evaluate(PROGRAM, file, source, given)
        self.assertEqual(len(report["layers"]), len(self.layers))
        self.assertTrue(all(layer["output"]["inputs"] == "given" for layer in report["layers"]))
        self.assertEqual(len(drift.figures(report).split()), 4)

    def test_inputs_are_a_few_of_many(self):
        many = [np.arange(self.N_TOKENS)] * (2 * drift.MOST_INPUTS // self.N_TOKENS)
        for values in drift.layer_inputs(self.encoder, self.weights, many).values():
            self.assertEqual(len(values), drift.MOST_INPUTS)

    def test_erf_is_that_of_the_standard_library(self):
        values = np.linspace(-6, 6, 2001)
        np.testing.assert_allclose(bert._erf(values), [math.erf(value) for value in values], atol=1.5e-7)


if __name__ == "__main__":
    unittest.main()
