"""Shapes, dtypes and names beyond the reference files, against the numpy reference, bit for bit."""
import json
import sys
import unittest

import numpy as np

import models
import reference
import safetensors_file as st
from program import SEED, ProgramTest, sha256

SCALED = tuple(fmt for fmt in reference.FORMATS if fmt != "fp8-cast")


def ragged_model(rng, dtype):
    """Shapes that divide nothing, single rows and columns, empty tensors, and tensors that are no linear layer."""
    return {
        "ragged.weight": models.outliers(rng, (67, 129), dtype),
        "one_row.weight": models.floats(rng, (1, 301), dtype),
        "one_column.weight": models.floats(rng, (299, 1), dtype),
        "one.weight": models.floats(rng, (1, 1), dtype),
        "tile.weight": models.floats(rng, (64, 64), dtype),  # a single tile of fp8-block: its scale is 0-dimensional
        "tiles.weight": models.outliers(rng, (128, 256), dtype),
        "zero.weight": reference.from_float32(np.full((128, 128), -0.0, np.float32), dtype),
        "some_zero_rows.weight": reference.from_float32(
            np.repeat(np.array([[0.0], [1.0]], np.float32), 64, 0) * rng.standard_normal((128, 128), np.float32), dtype),
        "tiny.weight": models.floats(rng, (64, 128), dtype, spread=1e-13 if dtype != "F16" else 1e-6),
        "no_rows.weight": models.floats(rng, (0, 16), dtype),
        "no_columns.weight": models.floats(rng, (16, 0), dtype),
        "vector.weight": models.floats(rng, (64,), dtype),
        "scalar.weight": models.floats(rng, (), dtype),
        "bank.weight": models.floats(rng, (2, 64, 64), dtype),
        "table": models.floats(rng, (64, 64), dtype),
        "in_proj_weight": models.floats(rng, (64, 64), dtype),
        "weight": models.floats(rng, (64, 64), dtype),  # no layer name in front: not a candidate
        "codes.weight": models.octets(rng, (8, 8), "I32"),
    }


def named_model(rng):
    """Names with prefixes, other scripts and JSON's special characters; an odd number of bytes before each tensor."""
    model = {}
    for index, name in enumerate(("model.diffusion_model.a", "层.注意力", "ünïcödé", 'quote"back\\slash', "tab\tand\x01",
                                  "emoji😀", " spaces ", "a/b", ".", "")):
        model[f"{name}.odd"] = models.octets(rng, (2 * index + 1,), "U8")
        model[f"{name}.weight"] = models.floats(rng, (16 + index, 33), ("BF16", "F32", "F16", "F64")[index % 4])
    return model


class RandomModels(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        print(f"random models with HALFTONE_TEST_SEED={SEED}", file=sys.stderr)

    def setUp(self):
        super().setUp()
        self.rng = np.random.default_rng(SEED)

    def compare(self, model, fmt, *options, **reference_options):
        source = st.write(self.folder / "in.safetensors", model, {"format": "pt"})
        output = self.convert(source, fmt, "--indivisible", "keep", *options) if fmt.endswith("-block") \
            else self.convert(source, fmt, *options)
        self.assert_holds(output, reference.convert(model, fmt, **reference_options))

    def test_ragged_shapes_of_every_dtype(self):
        for dtype in reference.FLOAT_DTYPES:
            model = ragged_model(self.rng, dtype)
            for fmt in SCALED:
                with self.subTest(dtype=dtype, format=fmt):
                    self.compare(model, fmt)

    def test_cast_keeps_values_and_writes_no_scale(self):
        ends = np.array([[448, -448, -0.0, 2.0**-10]], np.float32)
        for dtype in reference.FLOAT_DTYPES:
            with self.subTest(dtype):
                self.compare({"a.weight": models.outliers(self.rng, (67, 129), dtype),
                              "ends.weight": reference.from_float32(ends, dtype)}, "fp8-cast")

    def test_names_and_odd_alignment(self):
        model = named_model(self.rng)
        for fmt in ("fp8", "fp8-row", "int8-row"):
            with self.subTest(fmt):
                self.compare(model, fmt)

    def test_block_sizes(self):
        model = {"a.weight": models.outliers(self.rng, (256, 384))}
        for fmt in ("fp8-block", "int8-block"):
            for size in (64, 128):
                with self.subTest(format=fmt, block_size=size):
                    self.compare(model, fmt, "--block-size", size, block_size=size)
            with self.subTest(format=fmt, block_size="default"):
                self.compare(model, fmt)

    def test_float64_rounds_to_nearest_even_first(self):
        values = np.array([[1 + 2**-24, 1 + 3 * 2**-24, 1e-310, -1.0, 0.3, 1 / 3]])
        model = {"a.weight": st.Tensor("F64", values.shape, values.tobytes())}
        for fmt in SCALED[:2] + ("int8", "int8-row"):
            self.compare(model, fmt)

    def test_extreme_magnitudes(self):
        for largest in (3.4e38, 1e30, 1e-12, 9e-13, 1e-37, 1e-44):
            weight = np.array([[largest, -largest / 3, 0, largest / 448], [0, 0, 0, 0]], np.float32)
            model = {"a.weight": reference.from_float32(weight, "F32")}
            for fmt in ("fp8", "fp8-row", "fp8-e5m2", "int8", "int8-row"):
                with self.subTest(largest=largest, format=fmt):
                    self.compare(model, fmt)

    def test_every_bfloat16_value_as_the_largest(self):
        finite = np.arange(1, 0x7F80, dtype=np.uint16)
        amax = (finite.astype(np.uint32) << 16).view(np.float32)
        weight = np.stack([amax, -amax / np.float32(2), amax / np.float32(3), amax * np.float32(0.9)], axis=1)
        model = {"a.weight": reference.from_float32(weight, "F32")}
        for fmt in ("fp8-row", "int8-row"):
            with self.subTest(fmt):
                self.compare(model, fmt)

    def test_one_very_long_row(self):
        model = {"a.weight": models.floats(self.rng, (1, 20_000_003))}
        for fmt in ("fp8-row", "int8"):
            with self.subTest(fmt):
                self.compare(model, fmt, "--memory", "64MiB")

    def test_bias_is_unchanged(self):
        model = {"a.weight": models.floats(self.rng, (32, 64)), "a.bias": models.floats(self.rng, (32,))}
        source = st.write(self.folder / "in.safetensors", model)
        self.assert_same("a.bias", st.read(self.convert(source, "fp8")).tensors["a.bias"], model["a.bias"])


class Determinism(ProgramTest):
    def test_threads_and_memory_do_not_change_a_byte(self):
        folder = self.new_folder(big=True)
        rng = np.random.default_rng(SEED)
        model = {"large.weight": models.floats(rng, (8192, 4100), "F32")}  # alone more than the small budget
        model |= models.transformer(rng, blocks=8, width=512)
        source = st.write(folder / "in.safetensors", model)
        for fmt in ("fp8", "fp8-row", "int8"):
            sums = set()
            for threads in (1, 2, 5):
                for memory in ("64MiB", "1GiB"):
                    output = self.convert(source, fmt, "--threads", threads, "--memory", memory,
                                          output=folder / "out.safetensors")
                    sums.add(sha256(output))
            with self.subTest(fmt):
                self.assertEqual(len(sums), 1)
                self.assert_holds(output, reference.convert(model, fmt))

    def test_file_order_of_the_input_does_not_matter(self):
        model = models.transformer(np.random.default_rng(SEED))
        sums = set()
        for order in (sorted(model), sorted(model, reverse=True)):
            source = st.write(self.folder / "in.safetensors", model, {"format": "pt"}, order)
            sums.add(sha256(self.convert(source, "fp8-row")))
        self.assertEqual(len(sums), 1)


class Layout(ProgramTest):
    def test_header_is_the_canonical_text(self):
        rng = np.random.default_rng(SEED)
        model = named_model(rng) | {"i64": models.octets(rng, (3,), "I64"), "flags": models.octets(rng, (5,), "BOOL")}
        source = st.write(self.folder / "in.safetensors", model, {"format": "pt", "b": 'two "words"', "a": "é\n"})
        for fmt in ("fp8", "int8-row"):
            with self.subTest(fmt):
                output = st.read(self.convert(source, fmt))
                order = st.output_order(output.tensors)
                self.assertEqual(list(output.tensors), order)
                self.assertEqual(output.header.decode(),
                                 st.header_bytes(st.header_entries(output.tensors, order), output.metadata).decode())

    def test_metadata_of_the_input_is_kept(self):
        metadata = {"format": "pt", "modelspec.title": "Ünïcode", "config": json.dumps({"a": [1, 2]})}
        source = st.write(self.folder / "in.safetensors", models.transformer(np.random.default_rng(SEED)), metadata)
        self.assertLessEqual(metadata.items(), st.read(self.convert(source, "fp8")).metadata.items())


if __name__ == "__main__":
    unittest.main()
