"""inspect, dequantize and compare, against numpy."""
import math
import unittest

import numpy as np

import models
import reference
import safetensors_file as st
from command_line import CommandLineTest
from program import BAD_INPUT, DIFFERENT, SEED, USAGE, ProgramTest

ROUND_TRIP = tuple(fmt for fmt in reference.FORMATS if fmt != "fp8-cast")


class Inspect(CommandLineTest):
    def test_keys_of_a_plain_file(self):
        report = self.check("inspect", self.source, "--json").json
        self.assertEqual(report["path"], str(self.source))
        self.assertEqual(report["bytes"], self.source.stat().st_size)
        self.assertEqual(report["metadata"], {"format": "pt"})
        listed = {tensor["name"]: {"dtype": tensor["dtype"], "shape": tensor["shape"],
                                   "data_offsets": [tensor["begin"], tensor["end"]]} for tensor in report["tensors"]}
        self.assertEqual(listed, st.header_entries(self.model, self.model))
        self.assertEqual(report["layers"], [])

    def test_quantized_layers_are_recognised(self):
        for fmt in ROUND_TRIP:
            with self.subTest(fmt):
                report = self.check("inspect", self.convert(self.source, fmt), "--json").json
                layers = {layer["name"].removesuffix(".weight"): layer for layer in report["layers"]}
                self.assertEqual(sorted(layers), [name.removesuffix(".weight") for name in self.weights])
                for name, layer in layers.items():
                    self.assertIn(layer["format"], (fmt, reference.COMFY_NAME[fmt]))
                    self.assertTrue(any("weight_scale" in str(scale) for scale in layer["scales"]), layer)

    def test_text_names_every_tensor(self):
        text = self.check("inspect", self.source).stdout
        for name in self.model:
            self.assertIn(name, text)


class Dequantize(CommandLineTest):
    def dequantize(self, source, dtype):
        output = self.folder / "plain.safetensors"
        self.check("dequantize", source, "-o", output, "--dtype", dtype, "--force", "--quiet")
        return st.read(output).tensors

    def test_every_format_to_every_dtype(self):
        for fmt in ROUND_TRIP:
            quantized = self.convert(self.source, fmt)
            tensors = st.read(quantized).tensors
            for dtype in ("f32", "bf16", "f16"):
                with self.subTest(format=fmt, dtype=dtype):
                    plain = self.dequantize(quantized, dtype)
                    self.assertEqual(sorted(plain), sorted(self.model))  # no scales, no comfy_quant
                    for name in self.model:
                        if name in self.weights:
                            scale = tensors[name.removesuffix(".weight") + ".weight_scale"]
                            expected = reference.from_float32(reference.dequantize(tensors[name], scale), dtype.upper())
                            self.assert_same(name, plain[name], expected)
                        else:
                            self.assert_same(name, plain[name], self.model[name])

    def test_one_row_and_one_tile_scales(self):
        rng = np.random.default_rng(SEED)
        model = {"row.weight": models.floats(rng, (1, 128)), "tile.weight": models.floats(rng, (128, 128))}
        source = st.write(self.folder / "small.safetensors", model)
        for fmt in ("fp8-row", "int8-row", "int8-block"):
            with self.subTest(fmt):
                quantized = self.convert(source, fmt, *(["--indivisible", "keep"] if fmt.endswith("block") else []))
                tensors, plain = st.read(quantized).tensors, self.dequantize(quantized, "f32")
                for name in model:
                    scale = tensors.get(name.removesuffix(".weight") + ".weight_scale")
                    if scale is not None:
                        expected = reference.from_float32(reference.dequantize(tensors[name], scale), "F32")
                        self.assert_same(name, plain[name], expected)

    def test_plain_fp8_weights_have_scale_one(self):
        quantized = self.convert(self.source, "fp8-cast")
        tensors, plain = st.read(quantized).tensors, self.dequantize(quantized, "bf16")
        for name in self.weights:
            self.assert_same(name, plain[name], reference.from_float32(reference.to_float32(tensors[name]), "BF16"))

    def test_output_equal_to_input_is_refused(self):
        quantized = self.convert(self.source, "fp8")
        self.check("dequantize", quantized, "-o", quantized, "--dtype", "f32", "--force", code=USAGE)
        self.assertTrue(st.is_loadable(quantized))


class Compare(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        self.model = {"a.weight": models.floats(rng, (130, 80)), "b.weight": models.outliers(rng, (64, 300)),
                      "b.bias": models.floats(rng, (64,))}
        self.source = st.write(self.folder / "in.safetensors", self.model)

    def check_numbers(self, fmt):
        other = self.convert(self.source, fmt)
        tensors = st.read(other).tensors
        report = self.check("compare", self.source, other, "--json", code=DIFFERENT).json
        layers = {layer["name"].removesuffix(".weight"): layer for layer in report["layers"]}
        for name in ("a", "b"):
            truth = reference.to_float32(self.model[name + ".weight"]).astype(np.float64)
            scale = tensors.get(name + ".weight_scale")
            error = truth - reference.dequantize(tensors[name + ".weight"], scale).astype(np.float64)
            other_values = truth - error
            mse = np.mean(error**2)
            expected = {
                "sqnr_db": 10 * math.log10(np.sum(truth**2) / np.sum(error**2)),
                "cosine": np.sum(truth * other_values) / math.sqrt(np.sum(truth**2) * np.sum(other_values**2)),
                "max_abs": np.abs(error).max(),
                "mse": mse,
                "psnr_db": 10 * math.log10(np.abs(truth).max() ** 2 / mse),
                "rel_l2": math.sqrt(np.sum(error**2) / np.sum(truth**2)),
            }
            for key, value in expected.items():
                # The program may print few digits and sum in float32 pieces; 1e-4 is far below any real difference.
                actual = layers[name][key]
                self.assertTrue(math.isclose(actual, value, rel_tol=1e-4), f"{name} {key}: {actual}, numpy {value}")
        self.assertIn("sqnr_db", report["total"])

    def test_numbers_of_every_format(self):
        for fmt in ROUND_TRIP:
            if not fmt.endswith("-block"):
                with self.subTest(fmt):
                    self.check_numbers(fmt)

    def test_equal_files(self):
        for fmt in (None, "fp8"):
            source = self.convert(self.source, fmt) if fmt else self.source
            report = self.check("compare", source, source, "--json").json
            for layer in report["layers"]:
                self.assertEqual((layer["max_abs"], layer["mse"], layer["rel_l2"]), (0, 0, 0))

    def test_one_changed_element_is_found(self):
        values = reference.to_float32(self.model["a.weight"]).copy()
        values[17, 3] += np.float32(1)
        changed = self.model | {"a.weight": reference.from_float32(values, "BF16")}
        other = st.write(self.folder / "other.safetensors", changed)
        report = self.check("compare", self.source, other, "--json", code=DIFFERENT).json
        errors = {layer["name"].removesuffix(".weight"): layer["max_abs"] for layer in report["layers"]}
        self.assertAlmostEqual(errors["a"], 1, delta=0.01)
        self.assertEqual(errors.get("b", 0), 0)

    def test_missing_tensor_is_a_difference(self):
        other = st.write(self.folder / "other.safetensors", {"a.weight": self.model["a.weight"]})
        result = self.check("compare", self.source, other, code=DIFFERENT)
        self.assertIn("b.weight", result.stdout + result.stderr)

    def test_other_shape_is_a_difference(self):
        other = st.write(self.folder / "other.safetensors", self.model | {
            "a.weight": st.Tensor("BF16", (80, 130), self.model["a.weight"].data)})
        result = self.check("compare", self.source, other, code=DIFFERENT)
        self.assertIn("a.weight", result.stdout + result.stderr)

    def test_broken_file(self):
        broken = self.folder / "broken.safetensors"
        broken.write_bytes(b"x")
        self.refuse("compare", self.source, broken, code=BAD_INPUT, path=broken)


if __name__ == "__main__":
    unittest.main()
