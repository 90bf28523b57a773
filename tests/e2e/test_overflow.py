"""Values that a type or a format cannot hold are refused by name, and nothing is left behind."""
import functools
import unittest

import numpy as np

import models
import safetensors_file as st
from program import BAD_INPUT, SEED, ProgramTest

FLOAT32_MAX = float(np.finfo(np.float32).max)


def f32(values):
    values = np.asarray(values, np.float32)
    return st.Tensor("F32", values.shape, values.tobytes())


class OverflowTest(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        self.plain = st.write(self.folder / "plain.safetensors", {"a.weight": models.floats(rng, (128, 256)),
                                                                  "b.weight": models.floats(rng, (128, 256), spread=1)})
        self.output = self.folder / "out.safetensors"

    def refuse_all(self, *arguments, says):
        self.refuse(*arguments, "-o", self.output, "--quiet", code=BAD_INPUT, says=says, one_sentence=True)
        self.assert_nothing_left(self.output)

    def scaled(self, fmt, scale, value):
        """A file in `fmt` with these scales in the place of those of one layer."""
        tensors = st.read(self.convert(self.plain, fmt, output=self.folder / f"{fmt}.safetensors")).tensors
        name = f"b.{scale}"
        values = np.full(tensors[name].shape, value)
        return st.write(self.folder / "scaled.safetensors", tensors | {name: f32(values)}, None, st.output_order(tensors))


class Stored(OverflowTest):
    """Layers with finite codes and scales whose values are beyond binary32."""
    LAYERS = (("fp8", "weight_scale"), ("int8-row", "weight_scale"), ("int8-block", "weight_scale"), ("nvfp4", "weight_scale_2"),
              ("int8-convrot", "weight_scale"), ("w4a8", "weight_s_channel"))

    def test_dequantize_names_the_layer_and_the_place(self):
        for fmt, scale in self.LAYERS:
            for dtype in ("f32", "bf16", "f16"):
                with self.subTest(format=fmt, dtype=dtype):
                    source = self.scaled(fmt, scale, 1e38)
                    self.refuse_all("dequantize", source, "--dtype", dtype, says=[r"'b\.weight'", r"row \d+, column \d+", "3.4028235e"])

    def test_convert_names_the_layer_and_the_place(self):
        for fmt, scale in self.LAYERS:
            for target in ("fp8-row", "nvfp4", "w4a8"):
                if target == fmt:
                    continue
                with self.subTest(format=fmt, target=target):
                    source = self.scaled(fmt, scale, 1e38)
                    self.refuse_all("convert", source, "--format", target, "--preset", "none", says=[r"'b\.weight'", r"row \d+, column \d+"])

    def test_values_beyond_f16(self):
        source = self.scaled("fp8", "weight_scale", 1e3)
        self.refuse_all("dequantize", source, "--dtype", "f16", says=[r"'b\.weight'", r"row \d+, column \d+", "65504"])
        self.check("dequantize", source, "--dtype", "bf16", "-o", self.output, "--quiet")

    def test_codes_that_are_no_numbers_stay_so(self):
        for fmt, code, same in (("fp8", 0x7F, np.isnan), ("fp8-e5m2", 0x7C, np.isposinf), ("fp8-e5m2", 0xFC, np.isneginf)):
            with self.subTest(format=fmt, code=code):
                tensors = st.read(self.convert(self.plain, fmt, output=self.folder / f"{fmt}.safetensors")).tensors
                codes = bytearray(tensors["b.weight"].data)
                codes[1000] = code
                tensors["b.weight"] = st.Tensor(tensors["b.weight"].dtype, tensors["b.weight"].shape, bytes(codes))
                source = st.write(self.folder / "codes.safetensors", tensors, None, st.output_order(tensors))
                self.check("dequantize", source, "--dtype", "f32", "-o", self.output, "--quiet", "--force")
                values = np.frombuffer(st.read(self.output).tensors["b.weight"].data, "<f4")
                self.assertTrue(same(values[1000]))
                self.assertEqual(np.count_nonzero(~np.isfinite(values)), 1)


class Weights(OverflowTest):
    def weight(self, values):
        return st.write(self.folder / "large.safetensors", {"a.weight": f32(np.ones((128, 256))), "b.weight": f32(values)})

    def test_weights_that_w4a8_cannot_hold(self):
        values = np.ones((128, 256))
        values[3, 17] = 3e38
        for options in ((), ("--scales", "search"), ("--rotation-group", "16")):
            with self.subTest(options):
                self.refuse_all("convert", self.weight(values), "--format", "w4a8", "--preset", "none", *options,
                                says=[r"'b\.weight' holds 3e\+38 at row 3, column 17", r"at most 1\.329228e\+36"])

    def test_weights_that_cannot_be_rotated(self):
        # A row of the rotation: all of it comes together in one column, 16 times as large.
        values = np.ones((128, 256))
        values[5] = 2.0**119 * functools.reduce(np.kron, [[1, 1, 1, -1]] * 4)
        self.refuse_all("convert", self.weight(values), "--format", "w4a8", "--preset", "none",
                        says=[r"'b\.weight' reaches 1\.06\d+e\+37 when it is rotated", r"w4a8 holds at most 1\.329228e\+36"])
        for fmt in ("int8-convrot", "w4a4-convrot"):
            with self.subTest(fmt):
                self.refuse_all("convert", self.weight(values * 2.0**8), "--format", fmt, "--preset", "none",
                                says=[r"'b\.weight'", "binary32", "rotated"])

    def test_the_largest_and_the_smallest_weights_verify(self):
        for values in (np.full((128, 256), FLOAT32_MAX), np.full((128, 256), 1e-45), np.linspace(-3e38, 3e38, 128 * 256).reshape(128, 256)):
            source = self.weight(values)
            for fmt in ("fp8", "int8-row", "int8-block", "nvfp4", "mxfp8", "nf4", "fp4"):
                with self.subTest(format=fmt, first=values[0, 0]):
                    self.convert(source, fmt)
                    self.check("verify", self.folder / "out.safetensors", "--target", "none")


if __name__ == "__main__":
    unittest.main()
