"""The block-scaled, rotated and 4-bit formats against the numpy reference, and that against published values."""
import functools
import json
import math
import sys
import unittest

import numpy as np

import conformance
import models
import reference
import reference_blocks as blocks
import safetensors_file as st
from program import BAD_INPUT, DIFFERENT, OK, SEED, UNSUPPORTED, USAGE, ProgramTest, sha256

UNROTATED = tuple(fmt for fmt in blocks.FORMATS if fmt not in blocks.ROTATED)
EXTREMES = {"F64": (1e30, 1e-38, 2.0**-149), "F32": (1e30, 1e-38, 2.0**-149), "BF16": (1e30, 1e-38, 2.0**-133),
            "F16": (1e4, 1e-6, 2.0**-24)}  # large, small, smallest subnormal (of F32 for F64)


def normal(rng, shape, spread=1.0):
    return rng.standard_normal(shape, np.float32) * np.float32(spread)


def edge_model(rng, dtype):
    """Shapes that divide nothing, zeros of both signs, both ends of the range, and tensors that are no linear layer."""
    large, small, subnormal = EXTREMES[dtype]
    patches = normal(rng, (16, 512)) * (np.arange(512) // 64 % 2)
    weights = {
        "one_row": normal(rng, (1, 301)),
        "one_column": normal(rng, (299, 1)),
        "one": normal(rng, (1, 1)),
        "rotated_row": normal(rng, (1, 256)),
        "odd_rows": normal(rng, (67, 512), 0.05),
        "zero": np.full((20, 256), -0.0),
        "zero_odd": np.zeros((13, 21)),
        "zero_row": normal(rng, (8, 256)) * (np.arange(8) != 5)[:, None],
        "zero_groups": np.where(patches == 0, np.copysign(0, normal(rng, patches.shape)), patches),
        "large": normal(rng, (40, 256), large),
        "small": normal(rng, (40, 256), small),
        "subnormal": rng.integers(-40, 41, (40, 256)) * subnormal,
        "all_magnitudes": np.sign(normal(rng, (64, 256))) * np.exp(rng.uniform(*np.log([small, large]), (64, 256))),
    }
    model = {f"{name}.weight": reference.from_float32(np.float32(values), dtype) for name, values in weights.items()}
    return model | {
        "ragged.weight": models.outliers(rng, (67, 129), dtype),
        "outliers.weight": models.outliers(rng, (130, 256), dtype),
        "no_rows.weight": models.floats(rng, (0, 16), dtype),
        "vector.weight": models.floats(rng, (64,), dtype),
        "bank.weight": models.floats(rng, (2, 64, 64), dtype),
        "table": models.floats(rng, (64, 64), dtype),
        "odd_rows.bias": models.floats(rng, (67,), dtype),
    }


class BlockFormatTest(ProgramTest):
    """A test with an edge model of each type, and comparisons that know which formats are rotated."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        print(f"random models with HALFTONE_TEST_SEED={SEED}", file=sys.stderr)

    def setUp(self):
        self.folder = self.new_folder(big=True)  # hundreds of outputs, each of them synced: not to a disk
        self.rng = np.random.default_rng(SEED)
        self.source = self.folder / "in.safetensors"

    def write(self, model):
        return st.write(self.source, model, {"format": "pt"})

    def quantized(self, fmt, *options):
        return self.convert(self.source, fmt, *(["--indivisible", "keep"] if fmt in blocks.FOUR_BIT else []), *options)

    def compare(self, model, fmt, *options, **reference_options):
        self.write(model)
        self.assert_converted(self.quantized(fmt, *options), fmt, blocks.convert(model, fmt, **reference_options))

    def compare_values(self, values, fmt, *options, dtype="F32", **reference_options):
        self.compare({"a.weight": reference.from_float32(np.float32(values), dtype)}, fmt, *options, **reference_options)

    def assert_converted(self, path, fmt, expected):
        if fmt in blocks.ROTATED and fmt != "w4a8":  # whose sums both do in one order
            self.assert_rotated(st.read(path).tensors, expected, fmt)
        else:
            self.assert_holds(path, expected)

    def assert_rotated(self, actual, expected, fmt):
        """The order of the sums is the program's own: codes may be one off, rarely, and scales in their last bits."""
        self.assertEqual(sorted(actual), sorted(expected))
        off = total = 0
        for name, tensor in expected.items():
            if name.endswith(".weight") and tensor.dtype == "I8":
                difference = self.code_difference(name, actual[name], tensor, fmt)
                off, total = off + np.count_nonzero(difference), total + difference.size
            elif name.endswith((".weight_scale", ".weight_s_channel")):
                self.assert_scales_close(name, actual[name], tensor)
            else:
                self.assert_same(name, actual[name], tensor)
        self.assertLessEqual(off, total * 1e-3, f"{off} of {total} codes differ by one")

    def code_difference(self, name, actual, expected, fmt):
        self.assertEqual((actual.dtype, actual.shape), (expected.dtype, expected.shape), name)
        codes = [np.frombuffer(tensor.data, np.int8) for tensor in (actual, expected)]
        if fmt == "w4a4-convrot":
            codes = [blocks.signed_nibbles(packed) for packed in codes]
        if fmt == "w4a8":
            codes = [blocks.unpack(packed.view(np.uint8), first_high=False) for packed in codes]
        difference = np.abs(codes[0].astype(int) - codes[1])
        self.assertLessEqual(difference.max(), 1, f"{name} at code {difference.argmax()}")
        return difference

    def assert_scales_close(self, name, actual, expected):
        self.assertEqual((actual.dtype, actual.shape), (expected.dtype, expected.shape), name)
        np.testing.assert_allclose(reference.to_float32(actual), reference.to_float32(expected), rtol=1e-6, err_msg=name)

    def dequantize(self, source, *options):
        output = self.folder / "plain.safetensors"
        self.check("dequantize", source, "-o", output, "--dtype", "f32", "--force", "--quiet", *options)
        return output


def on_edge_models(formats=blocks.FORMATS, dtypes=reference.FLOAT_DTYPES):
    """Runs a test for each format and each type; the model is in `self.source`."""
    def decorate(test):
        @functools.wraps(test)
        def on_each(self):
            for dtype in dtypes:
                model = edge_model(self.rng, dtype)
                self.write(model)
                for fmt in formats:
                    with self.subTest(dtype=dtype, format=fmt):
                        test(self, fmt, model)
        return on_each
    return decorate


class EdgeModels(BlockFormatTest):
    @on_edge_models()
    def test_tensors_of_every_type(self, fmt, model):
        self.assert_converted(self.quantized(fmt), fmt, blocks.convert(model, fmt))

    @on_edge_models(blocks.FOUR_BIT)
    def test_block_sizes(self, fmt, model):
        for size in (64, 128, 4096):
            expected = blocks.convert(model, fmt, block_size=size)
            self.assertGreater(len(expected), len(model))
            self.assert_converted(self.quantized(fmt, "--block-size", size), fmt, expected)

    @on_edge_models(blocks.ROTATED)
    def test_rotation_groups(self, fmt, model):
        for group in (16, 64, 256):
            expected = blocks.convert(model, fmt, rotation_group=group)
            self.assertGreater(len(expected), len(model))
            self.assert_converted(self.quantized(fmt, "--rotation-group", group), fmt, expected)

    @on_edge_models(("w4a8",))
    def test_group_sizes(self, fmt, model):
        for size in (4, 8, 32, 128):
            expected = blocks.convert(model, fmt, group_size=size)
            self.assertGreater(len(expected), len(model))
            self.assert_converted(self.quantized(fmt, "--group-size", size), fmt, expected)

    @on_edge_models()
    def test_dequantize_restores_shapes_and_values(self, fmt, model):
        quantized = self.quantized(fmt)
        plain = st.read(self.dequantize(quantized)).tensors
        expected = blocks.restore(st.read(quantized).tensors)
        self.assertEqual(sorted(plain), sorted(model))
        for name, tensor in expected.items():
            self.assertEqual(plain[name].shape, model[name].shape, name)
            if fmt in blocks.ROTATED and tensor.dtype == "F32" and len(tensor.shape) == 2 and tensor.shape[0]:
                self.assert_rows_close(name, plain[name], tensor)
            else:
                self.assert_same(name, plain[name], tensor)

    def assert_rows_close(self, name, actual, expected):
        self.assertEqual((actual.dtype, actual.shape), (expected.dtype, expected.shape), name)
        theirs = reference.to_float32(expected).astype(np.float64)
        error = np.abs(reference.to_float32(actual) - theirs)
        # Subnormal sums are rounded to multiples of 2^-149, once in each of at most four stages.
        allowed = 1e-5 * np.linalg.norm(theirs, axis=1, keepdims=True) + 8 * 2.0**-149
        self.assertTrue((error <= allowed).all(), f"{name}: {(error - allowed).max()} beyond the tolerance")

    def test_dequantize_of_a_foreign_rotation_group_is_right_or_refused(self):
        model = {"a.weight": models.floats(self.rng, (20, 3072))}
        output = self.folder / "plain.safetensors"
        for fmt in blocks.ROTATED:
            for group in (4, 1024, 12, 0, -1, "64"):  # others write powers of four; the rest is no rotation
                power = group in (4, 1024)
                with self.subTest(format=fmt, group=group):
                    tensors = blocks.convert(model, fmt, rotation_group=group if power else 256)
                    entry = json.loads(tensors["a.comfy_quant"].data) | {"convrot_groupsize": group}
                    self.write(tensors | {"a.comfy_quant": blocks.text(entry)})
                    result = self.check("dequantize", self.source, "-o", output, "--dtype", "f32", "--force",
                                        code=(OK, UNSUPPORTED) if power else (BAD_INPUT, UNSUPPORTED))
                    if result.code == OK:
                        expected = blocks.restore(tensors)["a.weight"]
                        self.assert_rows_close("a.weight", st.read(output).tensors["a.weight"], expected)

    @on_edge_models()
    def test_plan_predicts_the_file(self, fmt, model):
        keep = ["--indivisible", "keep"] if fmt in blocks.FOUR_BIT else []
        plan = self.check("plan", self.source, "--format", fmt, "--preset", "none", "--json", *keep).json
        output = self.quantized(fmt)
        self.assertEqual(plan["output"]["bytes"], output.stat().st_size)
        self.assertEqual(plan["output"]["tensors"], len(st.read(output).tensors))
        for layer in plan["layers"]:
            shape = model[layer["name"]].shape
            quantize = 0 not in shape and blocks.takes(fmt, shape)
            self.assertEqual(layer["action"], "quantize" if quantize else "keep", layer["name"])

    @on_edge_models()
    def test_compare_measures_the_error(self, fmt, model):
        quantized = self.quantized(fmt)
        report = self.check("compare", self.source, quantized, "--json", code=DIFFERENT).json
        layers = {layer["name"].removesuffix(".weight"): layer for layer in report["layers"]}
        stored = blocks.stored_layers(st.read(quantized).tensors)
        self.assertEqual(sorted(layers), sorted(stored))
        for base, layer in stored.items():
            truth = reference.to_float32(model[base + ".weight"]).astype(np.float64)
            mse = np.mean((truth - blocks.restore_layer(layer)) ** 2)
            # Sums in another order, and in a rotation roundings far below the error: 1e-4 is ample.
            self.assertTrue(math.isclose(layers[base]["mse"], mse, rel_tol=1e-4),
                            f"{base}: {layers[base]['mse']}, numpy {mse}")

    @on_edge_models(dtypes=("BF16",))
    def test_inspect_recognises_the_layers(self, fmt, _):
        quantized = self.quantized(fmt)
        layers = {layer["name"].removesuffix(".weight"): layer
                  for layer in self.check("inspect", quantized, "--json").json["layers"]}
        self.assertEqual(sorted(layers), sorted(blocks.stored_layers(st.read(quantized).tensors)))
        self.assertEqual({layer["format"] for layer in layers.values()}, {fmt})
        for layer in layers.values():
            self.assertTrue(any(part in str(scale) for part in ("scale", "absmax", "_s_rel") for scale in layer["scales"]), layer)


class Values(BlockFormatTest):
    def test_float64_is_rounded_to_nearest_float32(self):
        values = self.rng.standard_normal((32, 256))
        values[0, :6] = [1 + 2**-24, 1 + 3 * 2**-24, 1e-310, -1e-46, 0.3, -1 / 3]
        model = {"a.weight": st.Tensor("F64", values.shape, values.tobytes())}
        for fmt in blocks.FORMATS:
            with self.subTest(fmt):
                self.compare(model, fmt)

    def test_float32_and_float16_are_not_rounded_to_bfloat16(self):
        values = normal(self.rng, (32, 256))
        rounded = reference.to_float32(reference.from_float32(values, "BF16"))
        for fmt in ("nvfp4", "mxfp8", "mxfp8-hybrid"):
            for dtype in ("F32", "F16"):
                with self.subTest(format=fmt, dtype=dtype):
                    exact, coarse = (blocks.convert({"a.weight": reference.from_float32(data, dtype)}, fmt)["a.weight"]
                                     for data in (values, rounded))
                    self.assertNotEqual(exact.data, coarse.data, "the values do not tell the two apart")
                    self.compare_values(values, fmt, dtype=dtype)

    def test_ties_of_nvfp4(self):
        quarters = np.arange(-24, 25) / 4
        groups = np.stack([np.resize(quarters, (16, 16)) * 2.0**power for power in range(-9, 9)])
        groups[:, :, 15] = 6 * 2.0 ** np.arange(-9, 9)[:, None]  # the group's total scale is a power of two
        values = groups.reshape(-1, 16)
        values[0] = 2688  # 448 * 6: the tensor's scale is 1
        for dtype in reference.FLOAT_DTYPES:
            with self.subTest(dtype):
                self.compare_values(values, "nvfp4", dtype=dtype)

    def test_ties_of_mxfp8(self):
        every = np.sort(reference.decode(np.arange(0x7F, dtype=np.uint8), reference.E4M3))
        middles = (every[1:] + every[:-1]) / 2
        values = np.zeros((math.ceil(middles.size / 31), 32))
        values[:, 31] = 448
        values[:, :31] = np.resize(middles, (len(values), 31))
        for power in (-100, -9, 0, 30):
            for dtype in ("F32", "BF16"):
                with self.subTest(power=power, dtype=dtype):
                    self.compare_values(np.concatenate([values, -values]) * 2.0**power, "mxfp8", dtype=dtype)

    def test_ties_and_their_neighbours_of_the_codebooks(self):
        for fmt in blocks.FOUR_BIT:
            levels = np.sort(blocks.LEVELS[fmt])
            thresholds = np.concatenate([blocks.NF4_THRESHOLDS, blocks.FP4_BNB_THRESHOLDS, -blocks.FP4_BNB_THRESHOLDS,
                                         (levels[1:] + levels[:-1]) / np.float32(2), levels, [np.float32(-0.0)]])
            around = np.concatenate([thresholds] + [np.nextafter(thresholds, np.float32(end)) for end in (-1, 1)])
            values = np.zeros((math.ceil(around.size / 63), 64), np.float32)
            values[:, 63] = 1
            values[:, :63] = np.resize(around, (len(values), 63))
            for scale in (1, 2.0**-20, 0.3, 1e-13, 1e-39):
                with self.subTest(format=fmt, scale=scale):
                    self.compare_values(values * np.float32(scale), fmt)

    def test_ties_of_the_rotated_formats(self):
        for fmt, largest in (("int8-convrot", 127), ("w4a4-convrot", 7)):
            halves = self.rng.integers(-2 * largest, 2 * largest + 1, (64, 256)) / 2
            halves[:, 0] = largest
            for group in (16, 64, 256):
                with self.subTest(format=fmt, group=group):
                    values = blocks.rotate(np.float32(halves), group)
                    self.assertTrue(np.array_equal(blocks.rotate(values, group), halves))
                    self.compare_values(values, fmt, "--rotation-group", group, rotation_group=group)

    def test_scale_at_the_ends_of_mxfp8(self):
        powers = np.float32(448 * 2.0 ** np.array([-127, -126, -125, -13, 0, 119]))  # the first ends the zero groups
        neighbours = [np.nextafter(powers, np.float32(end)) for end in (0, np.inf)]
        amax = np.concatenate([powers, *neighbours, powers * np.float32(1.01), np.float32([3.4028235e38, 0.054687507])])
        values = amax[:, None] * np.float32([1, -0.5, -0.0, 0, 1e-3])
        for fmt in ("mxfp8", "mxfp8-hybrid"):
            with self.subTest(fmt):
                self.compare_values(values, fmt)

    def test_every_bfloat16_value_as_the_largest_of_a_group(self):
        finite = (np.arange(1, 0x7F80, dtype=np.uint32) << 16).view(np.float32)
        parts = np.float32([1, -1 / 2, 1 / 3, 0.9, -0.0, 1e-3, -0.8, 0.3, 0.7, -0.6, 0.2, -0.1, 0.05, 0.45, -0.55, 0.125])
        rows = finite[:, None] * parts
        # A scale of NVFP4 spans 18 binades below that of the tensor: a tensor for every 16.
        model = {f"{index:02}.weight": reference.from_float32(part, "F32")
                 for index, part in enumerate(np.array_split(rows, 16))}
        for fmt in ("nvfp4", "mxfp8"):
            with self.subTest(fmt):
                self.compare(model, fmt)

    def test_every_bfloat16_mantissa_as_the_largest_of_an_nvfp4_tensor(self):
        mantissas = np.arange(0x80, dtype=np.uint32) << 16
        parts = np.float32([[1, -1 / 2, 1 / 3, 0.9, 0.01] * 7, [1 / 1000, -1 / 3000, 1e-4, 0, -0.0] * 7])
        model = {}
        for exponent in (1, 9, 100, 127, 254):
            for index, amax in enumerate((mantissas | exponent << 23).view(np.float32)):
                model[f"{exponent}.{index}.weight"] = reference.from_float32(amax * parts, "F32")
        self.compare(model, "nvfp4")


class Options(BlockFormatTest):
    def test_container_bnb_is_the_bnb_format(self):
        self.write(edge_model(self.rng, "BF16"))
        for fmt in ("nf4", "fp4"):
            with self.subTest(fmt):
                named = sha256(self.quantized(fmt + "-bnb"))
                self.assertEqual(sha256(self.quantized(fmt, "--container", "bnb")), named)
                self.assertNotEqual(sha256(self.quantized(fmt, "--container", "ctq")), named)

    def test_fewer_elements_than_a_block_stop_the_conversion(self):
        self.write({"big.weight": models.floats(self.rng, (16, 64)), "tiny.weight": models.floats(self.rng, (7, 9))})
        output = self.folder / "out.safetensors"
        for fmt in blocks.FOUR_BIT:
            with self.subTest(fmt):
                self.refuse("convert", self.source, "-o", output, "--format", fmt, "--preset", "none", code=USAGE,
                            says=[r"tiny\.weight", "63", "--indivisible"])
                self.assert_nothing_left(output)

    def test_indivisible_width_of_a_rotated_format(self):
        model = {"a.weight": models.floats(self.rng, (8, 256)), "b.weight": models.floats(self.rng, (8, 130))}
        self.write(model)
        output = self.folder / "out.safetensors"
        for fmt in blocks.ROTATED:
            with self.subTest(fmt):
                self.assertEqual(st.read(self.quantized(fmt)).tensors["b.weight"], model["b.weight"])
                self.refuse("convert", self.source, "-o", output, "--force", "--format", fmt, "--preset", "none",
                            "--indivisible", "error", code=USAGE, says=[r"b\.weight", "130"])
        plain = st.read(self.quantized("int8-convrot", "--indivisible", "plain")).tensors
        for name, tensor in reference.convert_layer("b.weight", model["b.weight"], "int8-row").items():
            self.assert_same(name, plain[name], tensor)

    def test_weights_that_are_not_finite_are_refused(self):
        output = self.folder / "out.safetensors"
        for dtype in reference.FLOAT_DTYPES:
            for bad in (np.nan, -np.nan, np.inf) if dtype == "F32" else (np.nan,):
                values = normal(self.rng, (67, 256))
                values[-1, -1] = bad
                self.write({"a.weight": models.floats(self.rng, (16, 256), dtype),
                            "b.weight": reference.from_float32(values, dtype)})
                for fmt in blocks.FORMATS:
                    with self.subTest(dtype=dtype, format=fmt, value=bad):
                        self.refuse("convert", self.source, "-o", output, "--format", fmt, "--preset", "none", "--quiet",
                                    code=BAD_INPUT, says=[r"b\.weight"], one_sentence=True)
                        self.assert_nothing_left(output)


class Determinism(BlockFormatTest):
    def test_threads_and_memory_do_not_change_a_byte(self):
        for formats, columns in ((blocks.ROTATED, 3072), (UNROTATED, 3075)):
            model = models.transformer(self.rng) | {
                "large.weight": models.floats(self.rng, (1555, columns), "F32"),  # alone more than the small budget
                "narrow.weight": models.floats(self.rng, (100_001, 7))}
            self.write(model)
            for fmt in formats:
                with self.subTest(fmt):
                    self.check_sums(model, fmt)

    def check_sums(self, model, fmt):
        budgets = [("--threads", threads, "--memory", memory) for threads in (1, 3) for memory in ("16MiB", "1GiB")]
        self.assertEqual(len({sha256(self.quantized(fmt, *budget)) for budget in budgets}), 1)
        quantized = self.folder / "out.safetensors"
        self.assert_converted(quantized, fmt, blocks.convert(model, fmt))
        self.assertEqual(len({sha256(self.dequantize(quantized, *budget)) for budget in budgets[::3]}), 1)

    def test_one_very_long_row(self):
        for fmt, columns in (("int8-convrot", 4_800_000), ("nf4", 4_800_003), ("fp4-bnb", 4_800_003),
                             ("nvfp4", 400_003), ("mxfp8", 200_003)):  # these two pad it to 16 and 32 rows
            with self.subTest(fmt):
                self.compare({"a.weight": models.floats(self.rng, (1, columns), "F32")}, fmt,
                             "--memory", "16MiB", "--threads", 2)


@unittest.skipUnless(conformance.FULL_SET.is_dir(), conformance.FULL_SET_MISSING)
class ReferenceFiles(BlockFormatTest):
    """Files of the December 2025 converter, and of comfy-kitchen's quantizers called directly."""

    def setUp(self):
        super().setUp()
        self.source = conformance.FULL_SET / "A_bf16.safetensors"

    def golden(self, name):
        return st.read(conformance.FULL_SET / f"A_bf16.{name}.safetensors").tensors

    def test_four_bit_codes_absmax_and_levels(self):
        golden = self.golden("bnb_dec2025")
        for fmt in ("nf4", "fp4"):
            actual = st.read(self.quantized(fmt)).tensors
            names = [key.removesuffix(f".{fmt}.0") for key in golden if key.endswith(f".{fmt}.0")]
            self.assertEqual(len(names), 8)
            for name in names:
                for index, part in enumerate(("", ".absmax", ".quant_map")):
                    with self.subTest(format=fmt, tensor=name + part):
                        self.assert_same(name + part, actual[name + part], golden[f"{name}.{fmt}.{index}"])

    def test_w4a4_codes_and_scales(self):
        golden = self.golden("ck_eager")
        for group in (16, 64):
            actual = st.read(self.quantized("w4a4-convrot", "--rotation-group", group)).tensors
            mark = f".w4a4_g{group}."
            expected = {key.replace(mark, "."): tensor for key, tensor in golden.items() if mark in key}
            self.assertEqual(len(expected), 14)
            with self.subTest(group):
                self.assert_rotated({name: actual[name] for name in expected}, expected, "w4a4-convrot")

    def test_w4a8_tensors_and_dequantized_values(self):
        golden = self.golden("ck_w4a8")
        actual = st.read(self.quantized("w4a8", "--rotation-group", 64)).tensors
        expected = {name: tensor for name, tensor in golden.items() if not name.endswith(".dequant")}
        self.assertEqual(len(expected), 28)
        for name, tensor in expected.items():  # stored as U8 there
            if name.endswith(".weight_s_rel"):
                expected[name] = st.Tensor("F8_E4M3", tensor.shape, tensor.data)
        self.assert_rotated({name: actual[name] for name in expected}, expected, "w4a8")
        label = blocks.text({"format": "asym_w4a8_int8", "group_size": 16, "convrot_groupsize": 64})
        base = "blocks.2.attn.qkv"
        layer = {name: tensor for name, tensor in golden.items() if name.startswith(base) and not name.endswith(".dequant")}
        source = st.write(self.folder / "golden.safetensors", layer | {base + ".comfy_quant": label})
        plain = reference.to_float32(st.read(self.dequantize(source)).tensors[base + ".weight"])
        theirs = reference.to_float32(golden[base + ".weight.dequant"])
        self.assertLess(np.abs(plain - theirs).max(), 1e-6 * np.abs(theirs).max())

    def test_w4a8_with_a_table_of_its_own_or_none(self):
        weight = np.float32(self.rng.standard_normal((3, 64)))
        tensors = blocks.convert({"a.weight": blocks.floats(weight)}, "w4a8", rotation_group=16)
        levels = np.sort(np.float32(self.rng.uniform(-1, 1, 16)))
        for change in ({"a.weight_codebook": blocks.floats(levels)}, None):
            changed = tensors | change if change else {name: part for name, part in tensors.items() if name != "a.weight_codebook"}
            source = st.write(self.folder / "foreign.safetensors", changed)
            with self.subTest(table=change is not None):
                self.assert_holds(self.dequantize(source), blocks.restore(changed))

    def test_block_scales_and_dequantized_values(self):
        golden = self.golden("ck_eager")
        for fmt in ("nvfp4", "mxfp8"):
            quantized = self.quantized(fmt)
            tensors = st.read(quantized).tensors | {  # both sides of the layer that has them
                "blocks.2.attn.qkv.dequant": st.read(self.dequantize(quantized)).tensors["blocks.2.attn.qkv.weight"]}
            parts = [key for key in golden if f".ck_{fmt}." in key]
            self.assertGreater(len(parts), 14)
            for key in parts:
                with self.subTest(format=fmt, tensor=key):
                    ours = tensors[key.replace(f".ck_{fmt}.", ".")]
                    self.assertEqual((ours.shape, ours.data), (golden[key].shape, golden[key].data))


def bits(value):
    return np.float32(value).view(np.uint32).item()


class PublishedValues(unittest.TestCase):
    """The numpy reference itself."""

    def test_swizzled_offsets(self):
        offsets = blocks.swizzled_offsets(256, 8)
        places = {(0, 0): 0, (0, 3): 3, (0, 4): 512, (1, 0): 16, (31, 3): 499, (32, 0): 4, (33, 2): 22, (64, 1): 9,
                  (96, 0): 12, (127, 3): 511, (127, 4): 1020, (128, 0): 1024, (129, 4): 1552}
        self.assertEqual({place: offsets[place] for place in places}, places)
        scales = np.random.default_rng(1).integers(0, 256, (130, 5), np.uint8)
        self.assertTrue(np.array_equal(blocks.unswizzle(blocks.swizzle(scales), 130, 5), scales))

    def test_e2m1(self):
        table = {0.25: 0, 0.26: 1, 0.74: 1, 0.75: 2, 1.25: 2, 1.26: 3, 1.74: 3, 1.75: 4, 2.5: 4, 2.51: 5, 3.49: 5, 3.5: 6,
                 5.0: 6, 5.01: 7, 9.0: 7, -0.0: 8, -0.1: 8, -1.0: 10}
        self.assertEqual(blocks.encode_e2m1(np.float32(list(table))).tolist(), list(table.values()))

    def test_rotation(self):
        self.assertEqual(blocks.rotate(np.float32([[1, 0, 2, 5]]), 4).tolist(), [[-1, 2, 4, 3]])
        self.assertEqual(blocks.rotate(np.float32([[8, 0, 0, 0]]), 4).tolist(), [[4, 4, 4, -4]])
        for group in (16, 64, 256):
            i, j = np.ogrid[:group, :group]
            threes = sum(((i ^ j) >> shift & 3) == 3 for shift in range(0, 8, 2))
            expected = np.where(threes % 2, -1, 1) / math.isqrt(group)
            self.assertTrue(np.array_equal(blocks.rotate(np.eye(group, dtype=np.float32), group), expected), group)

    def test_nvfp4_example(self):
        row = [0.02, -0.5, 0.31, 0, -0.0, 0.125, 0.875, -1.75, 3.0, 0.07, -2.2, 1.1, 0.66, -0.04, 0.9, 0.15, 0.001, -0.002,
               0.003, 0.0015, 0.004, -0.004, 0.0005, 0, 0.0025, 0.0035, -0.0011, 0.0007, 0.0001, -0.0023, 0.0031, 0.0019]
        codes, scales, tensor_scale = blocks.quantize_nvfp4(np.float32([row]))
        self.assertEqual(blocks.pack(codes[0], first_high=True).tobytes().hex(), "0a10804e70e438413d647f1067b20d65")
        self.assertEqual((scales[0].tolist(), bits(tensor_scale)), ([0x7E, 0x32], 0x3A924925))

    def test_mxfp8_examples(self):
        table = (([0.02, -0.5, 0.31, 1.75, -0.0, 1e-4], 119, "4af06a7e800d"), ([448, 1], 127, "7e38"),
                 ([449, 1], 128, "7630"), ([0.013671875, 0.001], 112, "7e60"))
        for values, byte, codes in table:
            actual, exponents = blocks.quantize_mxfp8(np.float32([values]))
            self.assertEqual((exponents[0, 0], actual[0, :len(values)].tobytes().hex()), (byte, codes))
        self.assertEqual(blocks.quantize_mxfp8(np.float32([[0.054687507]]))[1][0, 0], 115)

    def test_int4_example(self):
        codes, scale = blocks.quantize_int4(np.float32([[0.7, -0.35, 0.1, -0.69, 0.05, 0.2, -0.7, 0.6]]))
        self.assertEqual((codes.tolist(), bits(scale[0])), ([[7, -4, 1, -7, 0, 2, -7, 6]], 0x3DCCCCCD))
        packed = blocks.pack(codes, first_high=False)
        self.assertEqual(packed.tobytes().hex(), "c7912069")
        self.assertTrue(np.array_equal(blocks.signed_nibbles(packed), codes))

    def test_four_bit_examples(self):
        values = np.float32([[0.5, -0.25, 0.1, 0, -0.5, 0.03, 0.33, -0.02]])
        packed = {"nf4": "2f79807e", "nf4-bnb": "f29708e7", "fp4": "d7021f96", "fp4-bnb": "3d60b129"}
        for fmt, expected in packed.items():
            codes, amax = blocks.quantize_four_bit(values, fmt, 64)
            actual = blocks.pack(codes[0, :8], first_high=fmt.endswith("-bnb"))
            self.assertEqual((actual.tobytes().hex(), amax.tolist()), (expected, [0.5]), fmt)

    def test_zeros(self):
        zero = np.float32([[0, -0.0]])
        blank = {fmt: blocks.quantize_four_bit(zero, fmt, 64) for fmt in blocks.FOUR_BIT}
        self.assertEqual({fmt: set(codes.flat) for fmt, (codes, _) in blank.items()},
                         {"nf4": {7}, "nf4-bnb": {7}, "fp4": {0}, "fp4-bnb": {0}})
        self.assertEqual([bits(amax[0]) for _, amax in blank.values()], [0x2B8CBCCC, 0x2B8CBCCC, 0, 0])
        self.assertEqual(bits(blocks.quantize_nvfp4(zero)[2]), 0x3F800000)
        self.assertFalse(blocks.quantize_nvfp4(zero)[0].any() or blocks.quantize_mxfp8(zero)[0].any())

    def test_thresholds_of_nf4_are_the_middles(self):
        exact = blocks.NF4.astype(np.float64)
        self.assertTrue(np.array_equal(np.float32((exact[1:] + exact[:-1]) / 2), blocks.NF4_THRESHOLDS))

    def test_label_lengths(self):
        tensor = st.Tensor("BF16", (1024, 1024), bytes(2 * 1024 * 1024))  # four digits, as in the published texts
        lengths = {"nvfp4": 97, "mxfp8": 97, "mxfp8-hybrid": 104, "int8-convrot": 89, "w4a4-convrot": 52, "w4a8": 72, "nf4": 82}
        for fmt, length in lengths.items():
            out = blocks.convert({"a.weight": tensor}, fmt)
            texts = [part for name, part in out.items() if name.endswith(".comfy_quant") or ".quant_state." in name]
            self.assertEqual([len(part.data) for part in texts], [length], fmt)
            json.loads(texts[0].data)


if __name__ == "__main__":
    unittest.main()
