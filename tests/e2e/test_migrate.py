"""`migrate`: older layouts become today's, and no weight is rounded again."""
import json
import unittest

import numpy as np

import models
import safetensors_file as st
from program import BAD_INPUT, SEED, UNSUPPORTED, USAGE, ProgramTest

PREFIX = "model.diffusion_model."
HEADER_KEY = "_quantization_metadata"
# Magnitudes of FP4 by code: as convert_to_quant orders them, and as bitsandbytes does.
CTQ_FP4 = (0, 0.00520833, 1 / 6, 0.25, 1 / 3, 0.5, 2 / 3, 1)
BNB_FP4 = (0, 0.0625 / 12, 8 / 12, 1, 4 / 12, 0.5, 2 / 12, 0.25)


def scalar(value, dtype="F32", shape=()):
    return st.Tensor(dtype, shape, np.float32(value).tobytes())


def text(value):
    data = value.encode()
    return st.Tensor("U8", (len(data),), data)


def marker(elements, prefix=""):
    return {prefix + "scaled_fp8": st.Tensor("F8_E4M3", (elements,), bytes(range(elements)))}


class MigrateTest(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        self.rng = rng
        self.model = {"a.weight": models.outliers(rng, (128, 256)), "b.weight": models.floats(rng, (256, 128)),
                      "a.bias": models.floats(rng, (128,)), "norm.weight": models.floats(rng, (256,))}
        self.plain = st.write(self.folder / "plain.safetensors", self.model, {"format": "pt"})
        self.output = self.folder / "out.safetensors"

    def quantized(self, fmt, *options):
        return self.convert(self.plain, fmt, *options, output=self.folder / f"{fmt}.safetensors")

    def legacy(self, fmt, extra, *, scale=lambda tensor: tensor, prefix="", metadata=None):
        """A file of `fmt` in the older layout: no labels, and scales under their former name."""
        tensors = {}
        for name, tensor in st.read(self.quantized(fmt)).tensors.items():
            if name.endswith((".comfy_quant", ".input_scale")):
                continue
            if name.endswith(".weight_scale"):
                name, tensor = name.replace(".weight_scale", ".scale_weight"), scale(tensor)
            tensors[prefix + name] = tensor
        return st.write(self.folder / "legacy.safetensors", tensors | extra, metadata or {"format": "pt"})

    def migrate(self, source, *options):
        report = self.check("migrate", source, "-o", self.output, "--force", "--quiet", "--json", *options).json
        self.assertFalse(report["up_to_date"])
        return report

    def assert_current(self, source, *options):
        report = self.check("migrate", source, "-o", self.folder / "unneeded.safetensors", "--quiet", "--json", *options).json
        self.assertTrue(report["up_to_date"])
        self.assertEqual(report["changes"], [])
        self.assertIn("up to date", " ".join(report["notes"]))
        self.assert_nothing_left(self.folder / "unneeded.safetensors")

    def changes(self, report):
        return {change["subject"]: change["what"] for change in report["changes"]}

    def refuse_migrate(self, source, *options, says, code=BAD_INPUT):
        self.refuse("migrate", source, "-o", self.output, *options, code=code, says=says, one_sentence=True)
        self.assert_nothing_left(self.output)

    def values(self, path):
        floats = self.folder / "floats.safetensors"
        self.check("dequantize", path, "-o", floats, "--dtype", "f32", "--force", "--quiet")
        return st.read(floats).tensors


class ScaledFp8(MigrateTest):
    def test_is_the_file_that_convert_writes_today(self):
        for elements, options in ((0, ()), (1, ()), (2, ("--full-precision-mm",))):
            for fmt, shape in (("fp8", ()), ("fp8", (1,)), ("fp8-e5m2", ()), ("fp8-row", None), ("fp8-block", None)):
                with self.subTest(marker=elements, format=fmt, shape=shape):
                    reshape = (lambda tensor: st.Tensor("F32", shape, tensor.data)) if shape else lambda tensor: tensor
                    source = self.legacy(fmt, marker(elements), scale=reshape)
                    report = self.migrate(source)
                    expected = self.convert(self.plain, fmt, *options, output=self.folder / "expected.safetensors")
                    self.assertEqual(self.output.read_bytes(), expected.read_bytes())
                    self.assertIn(f"scaled_fp8 becomes {fmt}", self.changes(report)["a"])
                    self.assertIn("left out", self.changes(report)["scaled_fp8"])
                    self.assert_current(self.output)

    def test_row_scales_of_one_column(self):
        source = self.legacy("fp8-row", marker(0), scale=lambda tensor: st.Tensor("F32", (*tensor.shape, 1), tensor.data))
        self.migrate(source)
        self.assertEqual(self.output.read_bytes(), self.quantized("fp8-row").read_bytes())

    def test_marker_under_the_models_prefix_counts_for_its_layers(self):
        source = self.legacy("fp8", marker(2, PREFIX), prefix=PREFIX)
        other = {"other.weight": st.Tensor("F8_E4M3", (16, 16), bytes(256)), "other.scale_weight": scalar(0.5)}
        source = st.write(self.folder / "two.safetensors", st.read(source).tensors | other | marker(0))
        self.migrate(source)
        found = st.read(self.output).tensors
        self.assertEqual(json.loads(found[PREFIX + "a.comfy_quant"].data),
                         {"format": "float8_e4m3fn", "full_precision_matrix_mult": True})
        self.assertEqual(json.loads(found["other.comfy_quant"].data), {"format": "float8_e4m3fn"})
        self.assertFalse([name for name in found if name.endswith("scaled_fp8")])

    def test_input_scales_take_todays_name_and_shape(self):
        source = self.legacy("fp8", marker(0) | {"a.scale_input": scalar(0.25, shape=(1,))})
        report = self.migrate(source)
        self.assert_same("a.input_scale", st.read(self.output).tensors["a.input_scale"], scalar(0.25))
        self.assertIn("'scale_input' is called 'input_scale'", self.changes(report)["a"])

    def test_input_scales_that_no_loader_takes_are_refused(self):
        row = st.Tensor("F32", (128,), np.ones(128, np.float32).tobytes())
        for bad, said in ((scalar(float("nan")), "finite"), (scalar(float("inf")), "finite"), (row, "128 elements")):
            for name in ("a.scale_input", "a.input_scale"):
                source = self.legacy("fp8", marker(0) | {name: bad})
                result = self.check("migrate", source, "-o", self.output, "--quiet", code=BAD_INPUT)
                self.assertIn(name, result.stderr)
                self.assertIn(said, result.stderr)
                self.assertFalse(self.output.exists())

    def test_torn_metadata_is_refused(self):
        source = self.legacy("fp8", marker(0), metadata={"_quantization_metadata": '{"layers": {"a": {"format": "float8_e4m3fn"}}'})
        result = self.check("migrate", source, "-o", self.output, "--quiet", code=BAD_INPUT)
        self.assertIn("_quantization_metadata", result.stderr)

    def test_marker_of_any_size_goes(self):
        self.migrate(self.legacy("fp8", marker(3)))
        self.assertNotIn("scaled_fp8", st.read(self.output).tensors)

    def test_dummy_scales_beside_plain_weights_go(self):
        extra = marker(2) | {"norm.scale_weight": scalar(1), "norm.scale_input": scalar(3)}
        report = self.migrate(self.legacy("fp8", extra))
        self.assertNotIn("norm.scale_weight", st.read(self.output).tensors)
        self.assertIn("not quantized", self.changes(report)["norm"])
        self.assert_same("norm.weight", st.read(self.output).tensors["norm.weight"], self.model["norm.weight"])

    def test_scale_that_a_plain_weight_needs_is_refused(self):
        self.refuse_migrate(self.legacy("fp8", {"norm.scale_weight": scalar(0.5)}), says=["norm.weight", "BF16", "0.5"])
        self.refuse_migrate(self.legacy("fp8", {"norm.scale_weight": st.Tensor("F32", (2,), bytes(8))}), says=["norm.weight", "several"])

    def test_tensors_of_no_weight_stay_and_are_counted(self):
        report = self.migrate(self.legacy("fp8", {"lost.scale_weight": scalar(1)}))
        self.assertIn("1 tensor of an older layout belongs to no weight and stays", report["notes"])
        self.assertIn("lost.scale_weight", st.read(self.output).tensors)

    def test_label_under_the_weights_name_is_replaced(self):
        report = self.migrate(self.legacy("fp8", {"a.weight.comfy_quant": text('{"format": "float8_e4m3fn"}')}))
        self.assertEqual(self.output.read_bytes(), self.quantized("fp8").read_bytes())
        self.assertIn("under the name of the weight", self.changes(report)["a"])

    def test_scales_of_an_unknown_shape_are_refused(self):
        source = self.legacy("fp8", {"a.scale_weight": st.Tensor("F32", (128, 4, 1), bytes(2048))})
        self.refuse_migrate(source, code=BAD_INPUT, says=["'a'", "scaled_fp8", "a.scale_weight"])

    def test_two_scales_of_one_layer_are_refused(self):
        self.refuse_migrate(self.legacy("fp8", {"a.weight_scale": scalar(2)}), says=["two tensors 'a.weight_scale'"])


class ScaledInt8(MigrateTest):
    def test_is_the_file_that_convert_writes_today(self):
        for name in ("scale_weight", "weight_scale"):
            for fmt in ("int8", "int8-row", "int8-block"):
                with self.subTest(format=fmt, scales=name):
                    legacy = st.read(self.legacy(fmt, {})).tensors
                    legacy = {key.replace("scale_weight", name): tensor for key, tensor in legacy.items()}
                    legacy["scaled_int8"] = st.Tensor("I8", (0,), b"")
                    source = st.write(self.folder / "int8.safetensors", legacy, {"format": "pt"})
                    values = self.values(source)
                    self.migrate(source, *(("--input-scale", "remove") if fmt == "int8" else ()))
                    self.assertEqual(self.values(self.output), values)
                    expected = st.read(self.quantized(fmt)).tensors
                    if fmt == "int8-block":  # whose activation scale means nothing to loaders
                        expected = {key: tensor for key, tensor in expected.items() if not key.endswith(".input_scale")}
                    self.assert_holds(self.output, expected)

    def test_row_scales_of_one_dimension_under_the_older_name(self):
        source = self.legacy("int8-row", {}, scale=lambda tensor: st.Tensor("F32", tensor.shape[:1], tensor.data))
        self.migrate(source)
        self.assert_holds(self.output, st.read(self.quantized("int8-row")).tensors)

    def test_scales_of_one_dimension_under_todays_name_are_left_alone(self):
        tensors = {"a.weight": models.octets(self.rng, (64, 32), "I8"), "a.weight_scale": st.Tensor("F32", (64,), bytes(256))}
        self.assert_current(st.write(self.folder / "unclear.safetensors", tensors))

    def test_older_int8_is_read_by_every_command(self):
        source = self.legacy("int8-row", {})
        layers = self.check("inspect", source, "--json").json["layers"]
        self.assertEqual({(layer["format"], layer["stored_as"]) for layer in layers}, {("int8-row", "scaled_int8")})
        self.assertEqual(self.values(source), self.values(self.quantized("int8-row")))


class Labels(MigrateTest):
    def test_layers_that_only_the_header_describes_get_labels(self):
        for fmt in ("fp8", "int8-convrot", "nvfp4"):
            with self.subTest(fmt):
                full = self.quantized(fmt, "--quant-metadata")
                file = st.read(full)
                bare = {name: tensor for name, tensor in file.tensors.items() if not name.endswith(".comfy_quant")}
                report = self.migrate(st.write(self.folder / "header.safetensors", bare, file.metadata))
                self.assertEqual(self.output.read_bytes(), full.read_bytes())
                self.assertIn("label", self.changes(report)["a"])

    def test_nested_params_are_flattened_in_label_and_header(self):
        file = st.read(self.quantized("fp8-block", "--quant-metadata"))
        nested = '{"format": "float8_e4m3fn_blockwise", "params": {"group_size": 64}}'
        tensors = file.tensors | {"a.comfy_quant": text(nested)}
        header = json.loads(file.metadata[HEADER_KEY])
        header["layers"]["a"] = json.loads(nested)
        source = st.write(self.folder / "nested.safetensors", tensors, file.metadata | {HEADER_KEY: json.dumps(header)})
        self.migrate(source)
        self.assertEqual(self.output.read_bytes(), (self.folder / "fp8-block.safetensors").read_bytes())

    def test_label_that_the_header_contradicts_is_refused(self):
        file = st.read(self.quantized("fp8", "--quant-metadata"))
        for label, says in (('{"format": "float8_e4m3fn_rowwise"}', "as float8_e4m3fn_rowwise by its own label"),
                            ('{"format": "float8_e4m3fn", "full_precision_matrix_mult": true}', "as the same with other values by its own label")):
            source = st.write(self.folder / "two_labels.safetensors", file.tensors | {"a.comfy_quant": text(label)}, file.metadata)
            for options in ((), ("--dry-run",)):
                self.refuse_migrate(source, *options, code=BAD_INPUT, says=["the layer 'a'", HEADER_KEY, says])

    def test_header_entry_without_layers_goes(self):
        for entry in ("{}", '{"formats": {}}'):
            source = st.write(self.folder / "bad.safetensors", st.read(self.quantized("nf4")).tensors, {HEADER_KEY: entry})
            self.assertIn("names no layers", self.changes(self.migrate(source))["metadata"])
            self.assertNotIn(HEADER_KEY, st.read(self.output).metadata)

    def test_files_of_today_are_up_to_date(self):
        for fmt in ("fp8", "fp8-cast", "int8-block", "int8-convrot", "nvfp4", "mxfp8-hybrid", "w4a4-convrot", "nf4", "fp4-bnb"):
            with self.subTest(fmt):
                self.assert_current(self.quantized(fmt))
        self.assert_current(self.plain)

    def test_text_says_that_nothing_was_written(self):
        self.assertRegex(self.check("migrate", self.plain, "--quiet").stdout, "up to date, and nothing is written")
        self.assertEqual([path.name for path in self.folder.glob("*migrated*")], [])


class Options(MigrateTest):
    def test_input_scales_are_added_where_a_format_takes_one(self):
        report = self.migrate(self.quantized("fp8"), "--input-scale", "add")
        expected = self.convert(self.plain, "fp8", "--input-scale", output=self.folder / "expected.safetensors")
        self.assertEqual(self.output.read_bytes(), expected.read_bytes())
        self.assertEqual(set(self.changes(report)), {"a", "b"})
        self.assert_current(self.output, "--input-scale", "add")
        self.migrate(expected, "--input-scale", "remove")
        self.assertEqual(self.output.read_bytes(), self.quantized("fp8").read_bytes())
        self.assert_current(self.output, "--input-scale", "remove")

    def test_input_scales_of_older_layers(self):
        source = self.legacy("fp8", marker(0) | {"a.scale_input": scalar(0.5)})
        self.migrate(source, "--input-scale", "remove")
        self.assertEqual(self.output.read_bytes(), self.quantized("fp8").read_bytes())
        self.migrate(source, "--input-scale", "add")
        found = st.read(self.output).tensors
        self.assertEqual((found["a.input_scale"], found["b.input_scale"]), (scalar(0.5), scalar(1)))

    def test_hybrid_is_what_convert_writes_and_goes_again(self):
        for options in ((), ("--quant-metadata",)):
            plain, hybrid = self.quantized("mxfp8", *options), self.quantized("mxfp8-hybrid", *options)
            self.migrate(plain, "--hybrid", "add")
            self.assertEqual(self.output.read_bytes(), hybrid.read_bytes())
            self.migrate(hybrid, "--hybrid", "remove")
            self.assertEqual(self.output.read_bytes(), plain.read_bytes())
            self.assert_current(hybrid, "--hybrid", "add")

    def test_hybrid_scale_of_an_empty_weight_is_one(self):
        self.plain = st.write(self.folder / "zero.safetensors", {"a.weight": st.Tensor("BF16", (32, 32), bytes(2048))})
        self.migrate(self.quantized("mxfp8"), "--hybrid", "add")
        self.assertEqual(self.output.read_bytes(), self.quantized("mxfp8-hybrid").read_bytes())

    def test_container_swaps_codes_and_loses_none(self):
        for shape in ((48, 48), (5, 27), (2, 64)):  # the second has a last block, and a last byte, that are not full
            for kind, block in (("nf4", 64), ("fp4", 64), ("nf4", 128)):
                with self.subTest(shape=shape, kind=kind, block=block):
                    model = {"a.weight": models.outliers(self.rng, shape)}
                    self.plain = st.write(self.folder / "one.safetensors", model)
                    source = self.quantized(kind, "--block-size", block)
                    self.migrate(source, "--container", "bnb")
                    first, second = st.read(source).tensors, st.read(self.output).tensors
                    bytes_of = lambda tensors: np.frombuffer(tensors["a.weight"].data, np.uint8)
                    theirs = bytes_of(first)[:(shape[0] * shape[1] + 1) // 2]
                    codes = np.stack([theirs & 15, theirs >> 4])
                    if kind == "fp4":
                        order = np.array([int(np.argmin(np.abs(np.array(BNB_FP4) - level))) for level in CTQ_FP4], np.uint8)
                        codes = codes & 8 | order[codes & 7]
                    np.testing.assert_array_equal(bytes_of(second), codes[0] << 4 | codes[1])
                    direct = st.read(self.quantized(kind + "-bnb", "--block-size", block)).tensors
                    for name, tensor in direct.items():
                        self.assertEqual((second[name].dtype, second[name].shape), (tensor.dtype, tensor.shape))
                        if "quant_" in name:
                            self.assert_same(name, second[name], tensor)
                    self.assert_same("absmax", second["a.weight.absmax"], first["a.weight.absmax"])
                    if kind == "nf4":
                        self.assertEqual(self.values(source), self.values(self.output))
                    there = self.output.rename(self.folder / "there.safetensors")
                    self.migrate(there, "--container", "ctq")
                    self.assertEqual(self.output.read_bytes(), source.read_bytes())
                    self.assert_current(there, "--container", "bnb")

    def test_container_unnests_scales_and_moves_no_code(self):
        for shape in ((48, 48), (5, 27), (130, 520)):  # the last has more blocks than share a magnitude
            for kind in ("nf4", "fp4"):
                with self.subTest(shape=shape, kind=kind):
                    self.plain = st.write(self.folder / "one.safetensors", {"a.weight": models.outliers(self.rng, shape)})
                    self.migrate(self.quantized(kind + "-bnb"), "--container", "ctq")
                    single = st.read(self.output).tensors
                    nested = self.quantized(kind + "-bnb", "--double-quant")
                    report = self.migrate(nested, "--container", "ctq")
                    self.assertIn("as readers compute it", json.dumps(report["changes"]))
                    first, second = st.read(nested).tensors, st.read(self.output).tensors
                    self.assertEqual(list(second), list(st.read(self.quantized(kind)).tensors))
                    floats = lambda name: np.frombuffer(first["a.weight." + name].data, "<f4")
                    codes = np.frombuffer(first["a.weight.absmax"].data, np.uint8)
                    offset = np.float32(json.loads(first[f"a.weight.quant_state.bitsandbytes__{kind}"].data)["nested_offset"])
                    scales = floats("nested_quant_map")[codes] * floats("nested_absmax")[np.arange(codes.size) // 256] + offset
                    np.testing.assert_array_equal(np.frombuffer(second["a.weight.absmax"].data, "<f4"), scales)
                    for name, tensor in single.items():
                        if not name.endswith(".absmax"):
                            self.assert_same(name, second[name], tensor)
                    if kind == "nf4":
                        self.assertEqual(self.values(nested), self.values(self.output))
                    self.check("verify", self.output, "--target", "none", "--source", self.plain)
                    there = self.output.rename(self.folder / "there.safetensors")
                    self.assert_current(there, "--container", "ctq")

    def test_nested_scales_that_are_no_numbers_are_refused(self):
        tensors = st.read(self.quantized("nf4-bnb", "--double-quant")).tensors
        bad = np.frombuffer(tensors["a.weight.nested_absmax"].data, "<f4").copy()
        bad[-1] = np.inf
        tensors["a.weight.nested_absmax"] = st.Tensor("F32", bad.shape, bad.tobytes())
        source = st.write(self.folder / "bad.safetensors", tensors, None, st.output_order(tensors))
        self.refuse_migrate(source, "--container", "ctq", code=BAD_INPUT, says=["a.weight", "not finite"])

    def test_layers_that_contradict_themselves_are_refused(self):
        tensors = st.read(self.quantized("nf4-bnb", "--double-quant")).tensors
        nested = tensors["a.weight.nested_absmax"]
        tensors["a.weight.nested_absmax"] = st.Tensor("F32", (nested.shape[0] + 1,), nested.data + bytes(4))
        source = st.write(self.folder / "bad.safetensors", tensors, None, st.output_order(tensors))
        self.refuse_migrate(source, "--container", "ctq", code=BAD_INPUT, says=["layer 'a'", "nested_absmax"])

    def test_layers_that_are_broken_are_not_up_to_date(self):
        for fmt, scale in (("fp8", "a.weight_scale"), ("int8-row", "a.weight_scale"), ("nvfp4", "a.weight_scale_2")):
            tensors = st.read(self.quantized(fmt)).tensors
            values = np.frombuffer(tensors[scale].data, "<f4").copy()
            values[-1] = np.nan
            broken = tensors | {scale: st.Tensor("F32", tensors[scale].shape, values.tobytes())}
            missing = {name: tensor for name, tensor in tensors.items() if name != scale}
            for what, changed, says in (("NaN", broken, ["a.weight", "not finite"]), ("missing", missing, ["layer 'a'", "weight_scale"])):
                for options in ((), ("--dry-run",)):
                    with self.subTest(format=fmt, scale=what, options=options):
                        source = st.write(self.folder / "bad.safetensors", changed, None, st.output_order(changed))
                        self.refuse_migrate(source, *options, says=says)

    def test_formats_that_are_not_known_are_named(self):
        tensors = st.read(self.quantized("fp8")).tensors
        unknown = tensors | {"a.comfy_quant": text('{"format": "float3_of_tomorrow"}')}
        source = st.write(self.folder / "unknown.safetensors", unknown)
        self.refuse_migrate(source, code=UNSUPPORTED, says=["layer 'a' is stored as 'float3_of_tomorrow'", "nothing to migrate"])
        # What can be migrated is, and the rest is noted.
        legacy = {name.replace("b.weight_scale", "b.scale_weight"): tensor for name, tensor in unknown.items() if name != "b.comfy_quant"}
        report = self.migrate(st.write(self.folder / "mixed.safetensors", legacy | marker(0)))
        self.assertIn("layer 'a' is stored as 'float3_of_tomorrow'", " ".join(report["notes"]))
        self.assert_same("a.comfy_quant", st.read(self.output).tensors["a.comfy_quant"], unknown["a.comfy_quant"])

    def test_layouts_of_fp4_differ_in_a_level_and_a_note_says_so(self):
        report = self.migrate(self.quantized("fp4"), "--container", "bnb")
        self.assertIn("0.0052", " ".join(report["notes"]))

    def test_option_without_effect_is_refused(self):
        for options in (("--hybrid", "add"), ("--container", "bnb")):
            self.refuse_migrate(self.quantized("fp8"), *options, code=USAGE, says=[options[0], "no effect"])
        self.refuse_migrate(self.quantized("int8"), "--input-scale", "add", code=USAGE, says=["--input-scale", "no effect"])
        self.refuse_migrate(self.quantized("int8"), "--input-scale", "some", code=USAGE, says=["add or remove"])


class Safety(MigrateTest):
    def test_dry_run_decides_and_writes_nothing(self):
        source = self.legacy("fp8", marker(2))
        plan = self.check("migrate", source, "-o", self.output, "--dry-run", "--json").json
        self.assert_nothing_left(self.output)
        report = self.migrate(source)
        self.assertEqual((plan["plan_hash"], plan["output"]["bytes"]), (report["plan_hash"], self.output.stat().st_size))

    def test_threads_change_nothing(self):
        source = self.quantized("fp4")
        files = set()
        for threads in (1, 3):
            self.migrate(source, "--container", "bnb", "--threads", threads, "--memory", "16MiB")
            files.add(self.output.read_bytes())
        self.assertEqual(len(files), 1)

    def test_existing_output_and_input_are_kept(self):
        source = self.legacy("fp8", {})
        self.output.write_bytes(b"mine")
        self.refuse("migrate", source, "-o", self.output, code=USAGE, says=["exists"])
        self.assertEqual(self.output.read_bytes(), b"mine")
        self.refuse("migrate", source, "-o", source, "--force", code=USAGE, says=["input itself"])


if __name__ == "__main__":
    unittest.main()
