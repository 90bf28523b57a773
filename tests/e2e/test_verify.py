"""verify: files that are in order, files that are broken in one way each, and errors against the original."""
import json
import math
import struct
import unittest

import numpy as np

import models
import reference
import reference_blocks
import safetensors_file as st
from program import BAD_INPUT, DIFFERENT, OK, SEED, USAGE, ProgramTest
from safetensors_file import Tensor

# Formats that ComfyUI loads without custom nodes.
COMFYUI = ("fp8", "fp8-e5m2", "fp8-cast", "int8", "int8-row", "int8-convrot", "nvfp4", "mxfp8", "w4a4-convrot")
OTHERS = ("fp8-row", "fp8-block", "int8-block", "mxfp8-hybrid", "nf4", "fp4", "nf4-bnb", "fp4-bnb")
NAN = struct.pack("<f", math.nan)


def text(content) -> Tensor:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Tensor("U8", (len(data),), data)


def changed(tensor: Tensor, place: int, data: bytes) -> Tensor:
    return Tensor(tensor.dtype, tensor.shape, tensor.data[:place] + data + tensor.data[place + len(data):])


def reshaped(tensor: Tensor, *shape: int) -> Tensor:
    return Tensor(tensor.dtype, shape, tensor.data)


class VerifyTest(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        self.model = {"a.weight": models.floats(rng, (256, 512)), "b.weight": models.outliers(rng, (128, 256)),
                      "b.bias": models.floats(rng, (128,))}
        self.source = st.write(self.folder / "in.safetensors", self.model)
        self.file = self.folder / "broken.safetensors"

    def report(self, path, *options, code=OK):
        return self.check("verify", path, "--json", *options, code=code).json

    def tensors(self, fmt, *options):
        return dict(st.read(self.convert(self.source, fmt, *options)).tensors)

    def problems(self, tensors, *options, metadata=None):
        """The problems of a file that has some, by layer."""
        st.write(self.file, tensors, metadata, st.output_order(tensors))
        report = self.report(self.file, *options, code=DIFFERENT)
        self.assertFalse(report["passed"])
        return {problem["layer"]: problem["text"] for problem in report["problems"]}

    def assert_problem(self, tensors, layer, pattern, *options, metadata=None):
        problems = self.problems(tensors, *options, metadata=metadata)
        self.assertEqual(list(problems), [layer], problems)
        self.assertRegex(problems[layer], pattern)

    def assert_fine(self, tensors, *options, metadata=None):
        st.write(self.file, tensors, metadata, st.output_order(tensors))
        return self.report(self.file, *options)


class Fine(VerifyTest):
    def test_what_convert_writes_for_comfyui(self):
        for fmt in COMFYUI:
            with self.subTest(fmt):
                report = self.report(self.convert(self.source, fmt), "--source", self.source)
                self.assertEqual((report["passed"], report["problems"]), (True, []))
                self.assertEqual([layer["name"] for layer in report["layers"]], ["a", "b"])
                self.assertEqual({layer["format"] for layer in report["layers"]}, {fmt})

    def test_other_formats_without_a_target(self):
        for fmt in OTHERS:
            with self.subTest(fmt):
                output = self.convert(self.source, fmt)
                self.assertEqual(self.report(output, "--target", "none", "--source", self.source)["problems"], [])
                problems = self.report(output, code=DIFFERENT)["problems"]
                self.assertEqual([problem["layer"] for problem in problems], ["a", "b"])
                self.assertIn("not by ComfyUI alone", problems[0]["text"])

    def test_file_without_quantized_layers(self):
        report = self.report(self.source, "--source", self.source)
        self.assertEqual((report["layers"], report["problems"]), ([], []))
        self.assertEqual(report["notes"], [{"layer": "", "text": "no layer is quantized"}])

    def test_every_option_of_convert(self):
        for fmt, *options in (("fp8", "--quant-metadata"), ("fp8", "--input-scale"), ("fp8", "--full-precision-mm"),
                              ("nvfp4", "--quant-metadata"), ("int8-convrot", "--rotation-group", "64"),
                              ("nvfp4", "--scales", "search"), ("w4a4-convrot", "--scales", "search")):
            with self.subTest(fmt=fmt, options=options):
                self.assertEqual(self.report(self.convert(self.source, fmt, *options), "--source", self.source)["problems"], [])

    def test_padded_layers(self):
        rng = np.random.default_rng(SEED)
        self.source = st.write(self.folder / "odd.safetensors", {"odd.weight": models.floats(rng, (130, 80))})
        for fmt in ("nvfp4", "mxfp8", "nf4-bnb", "int8-row"):
            with self.subTest(fmt):
                self.report(self.convert(self.source, fmt), "--source", self.source, "--target", "none")

    def test_padded_layer_that_does_not_say_its_shape(self):
        rng = np.random.default_rng(SEED)
        self.source = st.write(self.folder / "odd.safetensors", {"odd.weight": models.floats(rng, (130, 80))})
        for fmt in ("nvfp4", "mxfp8"):
            with self.subTest(fmt):
                tensors = self.tensors(fmt)
                tensors["odd.comfy_quant"] = text({"format": fmt})
                self.assert_fine(tensors, "--source", self.source)

    def test_plain_casts_of_any_shape(self):
        rng = np.random.default_rng(SEED)
        floats = {f"{len(shape)}d.weight": models.floats(rng, shape, spread=1) for shape in ((), (7,), (4, 3, 3, 3), (2, 5))}
        casts = {name: Tensor("F8_E4M3", tensor.shape, reference.encode(reference.to_float32(tensor), reference.E4M3).tobytes())
                 for name, tensor in floats.items()}
        report = self.assert_fine(casts, "--source", st.write(self.folder / "floats.safetensors", floats))
        self.assertEqual(len(report["layers"]), 4)
        for layer in report["layers"]:
            self.assertEqual(layer["sqnr_db"], layer["expected_sqnr_db"])

    def test_text_of_a_file_in_order(self):
        result = self.check("verify", self.convert(self.source, "fp8"))
        self.assertRegex(result.stdout, r"(?m)^ok .*2 quantized layers, 0 problems, 1 note")

    def test_older_layout_with_its_marker(self):
        tensors = self.tensors("fp8")
        old = {name.replace("weight_scale", "scale_weight"): tensor for name, tensor in tensors.items()
               if not name.endswith("comfy_quant")}
        old["scaled_fp8"] = Tensor("F8_E4M3", (2,), b"\0\0")
        self.assert_fine(old, "--source", self.source)
        del old["scaled_fp8"]
        self.assertEqual(sorted(self.problems(old)), ["a", "b"])


class Labels(VerifyTest):
    def test_unknown_key(self):
        tensors = self.tensors("fp8") | {"a.comfy_quant": text({"format": "float8_e4m3fn", "colour": 3})}
        self.assert_problem(tensors, "a", "colour")
        self.assert_problem(self.tensors("fp8"), "a", "colour", metadata={"_quantization_metadata": json.dumps(
            {"layers": {"a": {"format": "float8_e4m3fn", "colour": 3}}})})

    def test_unknown_format(self):
        tensors = self.tensors("fp8") | {"a.comfy_quant": text({"format": "float9"})}
        self.assert_problem(tensors, "a", "float9")

    def test_text_that_is_no_json(self):
        for content in (b"{", b"[]", b"", b'{"format": "float8_e4m3fn"}\0', b'{"format": 5}'):
            with self.subTest(content):
                self.assert_problem(self.tensors("fp8") | {"a.comfy_quant": text(content)}, "a", "quantization JSON")

    def test_label_without_a_weight(self):
        tensors = self.tensors("fp8")
        del tensors["a.weight"], tensors["a.weight_scale"]
        self.assert_problem(tensors, "a", "without a weight")

    def test_label_that_is_missing(self):
        for fmt in ("fp8", "int8-row", "nvfp4"):
            with self.subTest(fmt):
                tensors = self.tensors(fmt)
                del tensors["a.comfy_quant"]
                self.assert_problem(tensors, "a", "without a description")

    def test_rotation_that_the_format_does_not_have(self):
        for fmt in ("fp8", "nvfp4"):
            with self.subTest(fmt):
                tensors = self.tensors(fmt)
                tensors["a.comfy_quant"] = text(json.loads(tensors["a.comfy_quant"].data) | {"convrot": True})
                self.assert_problem(tensors, "a", "convrot")

    def test_rotation_group_that_is_no_power_of_four(self):
        tensors = self.tensors("int8-convrot")
        label = json.loads(tensors["a.comfy_quant"].data)
        for group in (128, 12, 0, 1024):
            with self.subTest(group):
                tensors["a.comfy_quant"] = text(label | {"convrot_groupsize": group})
                self.assert_problem(tensors, "a", "rotation group|'convrot_groupsize' .* is 0")

    def test_header_without_layers(self):
        self.assert_problem(self.tensors("fp8"), "", "layers", metadata={"_quantization_metadata": '{"formats": {}}'})

    def test_header_that_forgets_the_rotation(self):
        header = {"layers": {"a": {"format": "int8_tensorwise", "per_row": True}}}
        self.assert_problem(self.tensors("int8-convrot"), "a", "follows the header",
                            metadata={"_quantization_metadata": json.dumps(header)})

    def test_product_type_of_w4a4(self):
        tensors = self.tensors("w4a4-convrot")
        label = json.loads(tensors["a.comfy_quant"].data)
        self.assert_fine(tensors | {"a.comfy_quant": text(label | {"linear_dtype": "int8"})})
        self.assert_problem(tensors | {"a.comfy_quant": text(label | {"linear_dtype": "fp16"})}, "a", "fp16")


class Shapes(VerifyTest):
    def test_missing_scale(self):
        for fmt, name in (("fp8", "a.weight_scale"), ("int8-row", "a.weight_scale"), ("nvfp4", "a.weight_scale_2"),
                          ("mxfp8", "a.weight_scale")):
            with self.subTest(fmt):
                tensors = self.tensors(fmt)
                del tensors[name]
                self.assert_problem(tensors, "a", "there is none")

    def test_scale_of_the_wrong_shape(self):
        tensors = self.tensors("int8-row")
        self.assert_problem(tensors | {"a.weight_scale": reshaped(tensors["a.weight_scale"], 256)}, "a", r"\[256, 1\]")
        self.assert_problem(tensors | {"a.weight_scale": models.floats(np.random.default_rng(1), (7,), "F32")}, "a", r"\[7\]")
        tensors = self.tensors("w4a4-convrot")
        self.assert_problem(tensors | {"a.weight_scale": reshaped(tensors["a.weight_scale"], 256, 1)}, "a", r"\[256\]")

    def test_scale_of_the_wrong_type(self):
        tensors = self.tensors("mxfp8")
        scale = tensors["a.weight_scale"]
        problems = self.problems(tensors | {"a.weight_scale": Tensor("F8_E8M0", scale.shape, scale.data)})
        self.assertRegex(problems["a"], "U8")
        self.assertRegex(problems["a.weight_scale"], "F8_E8M0")

    def test_codes_of_the_wrong_type(self):
        tensors = self.tensors("fp8")
        self.assert_problem(tensors | {"a.weight": Tensor("U8", (256, 512), tensors["a.weight"].data)}, "a", "F8_E4M3")

    def test_scale_that_belongs_to_nothing(self):
        one = Tensor("F32", (), struct.pack("<f", 1))
        self.assert_problem(self.tensors("fp8") | {"c.weight_scale": one}, "c.weight_scale", "without a weight")
        self.assert_problem(self.tensors("fp8") | {"a.weight_scale_2": one}, "a", "weight_scale_2")
        self.assert_problem(dict(self.model) | {"a.weight_scale": one}, "a", "scales nothing")

    def test_table_of_a_codebook(self):
        tensors = self.tensors("nf4")
        table = tensors["a.weight.quant_map"]
        for broken, says in ((Tensor("F32", (8,), table.data[:32]), r"F32 \[16\], not F32 \[8\]"),
                             (changed(table, 4, struct.pack("<f", 0.5)), "not the table")):
            self.assert_problem(tensors | {"a.weight.quant_map": broken}, "a", says, "--target", "none")
        del tensors["a.weight.quant_map"]
        self.assert_problem(tensors, "a", "there is none", "--target", "none")

    def test_layer_on_which_the_product_fails(self):
        rng = np.random.default_rng(SEED)
        self.source = st.write(self.folder / "odd.safetensors", {"odd.weight": models.floats(rng, (130, 80))})
        for fmt in ("fp8", "fp8-e5m2"):
            with self.subTest(fmt):
                tensors = self.tensors(fmt)
                self.assert_problem(tensors, "odd", "divisible by 16")
                self.assert_fine(tensors, "--target", "none")
                self.assert_fine(self.tensors(fmt, "--full-precision-mm"))

    def test_activation_scale_with_several_numbers(self):
        tensors = self.tensors("fp8") | {"a.input_scale": Tensor("F32", (2,), struct.pack("<2f", 1, 1))}
        self.assert_problem(tensors, "a", "input_scale")


class Values(VerifyTest):
    def test_scales_that_are_not_finite(self):
        for fmt, name, data in (("fp8", "a.weight_scale", NAN), ("int8-row", "a.weight_scale", NAN),
                                ("int8-row", "a.weight_scale", struct.pack("<f", math.inf)),
                                ("nvfp4", "a.weight_scale", b"\x7f"), ("nvfp4", "a.weight_scale_2", NAN),
                                ("mxfp8", "a.weight_scale", b"\xff"), ("w4a4-convrot", "a.weight_scale", NAN)):
            with self.subTest(format=fmt, name=name):
                tensors = self.tensors(fmt)
                self.assert_problem(tensors | {name: changed(tensors[name], 0, data)}, "a", f"{name}.*finite")
        tensors = self.tensors("nf4")
        absmax = changed(tensors["a.weight.absmax"], 8, NAN)
        self.assert_problem(tensors | {"a.weight.absmax": absmax}, "a", "number 3 of 2048", "--target", "none")

    def test_codes_that_are_not_numbers(self):
        for fmt, code in (("fp8", b"\x7f"), ("fp8", b"\xff"), ("fp8-cast", b"\x7f"), ("fp8-e5m2", b"\x7c"),
                          ("fp8-e5m2", b"\xfe"), ("mxfp8", b"\xff")):
            with self.subTest(format=fmt, code=code):
                tensors = self.tensors(fmt)
                weight = changed(changed(tensors["a.weight"], 1000, code), 5000, code)
                self.assert_problem(tensors | {"a.weight": weight}, "a", "2 of its 131072 codes .*byte 1000")

    def test_groups_of_zeros_are_a_note(self):
        values = reference.to_float32(self.model["a.weight"]).copy()
        values[3, :64] = 0
        values[7] = 0
        source = st.write(self.folder / "zeros.safetensors", {"a.weight": reference.from_float32(values, "BF16")})
        for fmt, groups in (("nvfp4", 36), ("mxfp8", 18), ("int8-row", 1), ("nf4", 9), ("fp8", 0)):
            with self.subTest(fmt):
                notes = self.report(self.convert(source, fmt), "--target", "none", "--source", source)["notes"]
                self.assertEqual([int(note["text"].split()[0]) for note in notes], [groups] if groups else [])

    def test_square_blocks_of_zeros(self):
        values = reference.to_float32(self.model["a.weight"]).copy()
        values[64:128, 128:320] = 0
        source = st.write(self.folder / "zeros.safetensors", {"a.weight": reference.from_float32(values, "BF16")})
        notes = self.report(self.convert(source, "fp8-block"), "--target", "none")["notes"]
        self.assertEqual([note["text"] for note in notes], ["3 of its 32 groups that share a scale hold only zeros"])

    def test_quantized_scales(self):
        rng = np.random.default_rng(11)
        source = st.write(self.folder / "wide.safetensors", {"a.weight": models.floats(rng, (256, 512), spread=2)})
        for fmt in ("nf4-bnb", "fp4-bnb"):
            with self.subTest(fmt):
                output = self.folder / f"double-{fmt}.safetensors"
                self.check("convert", source, "-o", output, "--format", fmt, "--double-quant", "--preset", "none", "--target", "none",
                           "--verify")
                self.assertEqual(self.report(output, "--target", "none")["problems"], [])

    def test_table_of_w4a8_and_its_parts_without_a_label(self):
        rng = np.random.default_rng(12)
        source = st.write(self.folder / "wide.safetensors", {"a.weight": models.floats(rng, (16, 512))})
        output = self.convert(source, "w4a8")
        tensors = st.read(output).tensors
        levels = np.frombuffer(tensors["a.weight_codebook"].data, np.float32).copy()
        levels[3] += 0.001
        self.assert_fine(tensors | {"a.weight_codebook": Tensor("F32", (16,), levels.tobytes())})
        bare = {name: tensor for name, tensor in tensors.items() if name != "a.comfy_quant"}
        self.assert_problem(bare, "a", "without a description")
        problems = self.report(self.file, code=DIFFERENT)["problems"]
        self.assertEqual(len(problems), 1, problems)  # of three scales and tables

    def test_weight_of_zeros(self):
        source = st.write(self.folder / "zeros.safetensors", {"a.weight": Tensor("BF16", (64, 64), bytes(8192))})
        for fmt in reference.FORMATS + reference_blocks.FORMATS:
            if fmt in ("int8-convrot", "w4a4-convrot", "w4a8", "int8-block"):
                continue  # 64 columns are too few
            with self.subTest(fmt):
                report = self.report(self.convert(source, fmt), "--target", "none", "--source", source)
                self.assertIn({"layer": "a", "text": "holds only zeros"}, report["notes"])


class Source(VerifyTest):
    def test_figures_are_those_of_numpy(self):
        for fmt in ("fp8", "int8", "int8-row"):
            with self.subTest(fmt):
                output = self.convert(self.source, fmt)
                tensors = st.read(output).tensors
                for layer in self.report(output, "--source", self.source)["layers"]:
                    weight = reference.to_float32(self.model[layer["name"] + ".weight"]).astype(np.float64)
                    restored = reference.dequantize(tensors[layer["name"] + ".weight"], tensors[layer["name"] + ".weight_scale"])
                    expected = 10 * math.log10(np.sum(weight**2) / np.sum((restored - weight)**2))
                    self.assertAlmostEqual(layer["sqnr_db"], expected, delta=1e-6)
                    self.assertEqual(layer["expected_sqnr_db"], layer["sqnr_db"])

    def test_own_error_is_the_yardstick_in_every_format(self):
        rng = np.random.default_rng(SEED)
        self.source = st.write(self.folder / "many.safetensors", {"x.weight": models.outliers(rng, (384, 1280), "F32")})
        for fmt in reference.FORMATS + reference_blocks.FORMATS:
            if fmt == "fp8-cast":
                continue  # does not take every value
            with self.subTest(fmt):
                layer, = self.report(self.convert(self.source, fmt), "--source", self.source, "--target", "none")["layers"]
                self.assertEqual(layer["expected_sqnr_db"], layer["sqnr_db"])

    def test_search_is_better_than_the_yardstick(self):
        for layer in self.report(self.convert(self.source, "nvfp4", "--scales", "search"), "--source", self.source)["layers"]:
            self.assertGreater(layer["sqnr_db"], layer["expected_sqnr_db"])

    def test_wrong_scale(self):
        tensors = self.tensors("fp8")
        scale = struct.unpack("<f", tensors["a.weight_scale"].data)[0]
        tensors["a.weight_scale"] = Tensor("F32", (), struct.pack("<f", scale * 1.1))
        self.assert_problem(tensors, "a", "19.* dB, and fp8 gives 31", "--source", self.source)

    def test_small_loss_passes(self):
        tensors = self.tensors("fp8")
        scale = struct.unpack("<f", tensors["a.weight_scale"].data)[0]
        tensors["a.weight_scale"] = Tensor("F32", (), struct.pack("<f", scale * 1.005))
        self.assert_fine(tensors, "--source", self.source)

    def test_scale_of_a_hybrid_layer_that_is_not_its_largest(self):
        tensors = self.tensors("mxfp8-hybrid")
        value, = struct.unpack("<f", tensors["a.weight_scalar"].data)
        self.assertEqual(value, 2.0 ** (max(tensors["a.weight_scale"].data) - 127))
        tensors["a.weight_scalar"] = Tensor("F32", (), struct.pack("<f", 2 * value))
        self.assert_problem(tensors, "a", rf"'a.weight_scalar' is .*largest of its scales is", "--target", "none")

    def test_group_sizes_that_are_none(self):
        tensors = self.tensors("w4a8")
        for size in (0, -16, 16.5, "16", None):
            with self.subTest(size=size):
                tensors["a.comfy_quant"] = text({"format": "asym_w4a8_int8", "group_size": size, "convrot_groupsize": 256})
                problems = self.problems(tensors)
                self.assertIn("'group_size'", problems["a"])
                self.assertIn("no size", problems["a"])
                self.refuse("dequantize", self.file, "-o", self.folder / "no.safetensors", code=BAD_INPUT, says=["'group_size' of the layer 'a'"])

    def test_swapped_nibbles(self):
        tensors = self.tensors("nvfp4")
        octets = np.frombuffer(tensors["a.weight"].data, np.uint8)
        swapped = (octets << 4 | octets >> 4).astype(np.uint8)
        tensors["a.weight"] = Tensor("U8", tensors["a.weight"].shape, swapped.tobytes())
        self.assert_problem(tensors, "a", "dB", "--source", self.source)

    def test_rotation_that_was_not_done(self):
        tensors = self.tensors("int8-row")
        tensors["a.comfy_quant"] = text({"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 256, "per_row": True})
        self.assert_problem(tensors, "a", "dB", "--source", self.source)
        self.assert_fine(tensors)

    def test_original_without_the_layer_or_of_another_shape(self):
        output = self.convert(self.source, "fp8")
        for other, says in (({"b.weight": self.model["b.weight"]}, "no such weight"),
                            (self.model | {"a.weight": reshaped(self.model["a.weight"], 512, 256)}, r"\[512, 256\]")):
            original = st.write(self.folder / "other.safetensors", other)
            problem, = self.report(output, "--source", original, code=DIFFERENT)["problems"]
            self.assertEqual(problem["layer"], "a")
            self.assertRegex(problem["text"], says)

    def test_threads_change_nothing(self):
        output = self.convert(self.source, "nvfp4")
        self.assertEqual(*(self.check("verify", output, "--source", self.source, "--json", "--threads", n).stdout for n in (1, 4)))


class Notes(VerifyTest):
    def notes(self, fmt, *options):
        return {note["layer"]: note["text"] for note in self.report(self.convert(self.source, fmt, *options))["notes"]}

    def test_gpus_that_are_fast(self):
        self.assertRegex(self.notes("fp8")[""], r"2 layers in fp8: fast on .*8\.9")
        self.assertRegex(self.notes("nvfp4")[""], r"capability 10 ")
        self.assertEqual(self.notes("fp8-cast"), {})

    def test_small_rotation_groups(self):
        self.assertRegex(self.notes("int8-convrot", "--rotation-group", 64)["a"], "groups of 64.*256")
        self.assertNotIn("a", self.notes("int8-convrot"))

    def test_full_precision(self):
        self.assertRegex(self.notes("fp8", "--full-precision-mm")["b"], "full precision")

    def test_padding(self):
        self.source = st.write(self.folder / "odd.safetensors", {"odd.weight": models.floats(np.random.default_rng(1), (130, 80))})
        self.assertRegex(self.notes("nvfp4")["odd"], r"\[144, 80\]")


class Convert(VerifyTest):
    def setUp(self):
        super().setUp()
        self.output = self.folder / "out.safetensors"
        self.odd = st.write(self.folder / "odd.safetensors", {"odd.weight": models.floats(np.random.default_rng(1), (130, 80))})

    def verified(self, source, fmt, *options, **keywords):
        return self.check("convert", source, "-o", self.output, "--format", fmt, "--verify", *options, **keywords)

    def test_every_format(self):
        for fmt in COMFYUI + OTHERS:
            with self.subTest(fmt):
                plain = self.convert(self.source, fmt, output=self.folder / "plain.safetensors")
                options = ("--target", "none") if fmt in OTHERS else ()
                report = self.verified(self.source, fmt, "--preset", "none", "--force", "--json", *options).json
                self.assertEqual((report["verification"]["passed"], len(report["verification"]["layers"])), (True, 2))
                self.assertEqual(self.output.read_bytes(), plain.read_bytes())

    def test_file_that_fails_gets_no_name(self):
        result = self.verified(self.odd, "fp8", "--preset", "none", code=DIFFERENT)
        self.assertRegex(result.stderr, r"does not pass its verification and is not kept: odd: .*divisible by 16")
        self.assert_nothing_left(self.output)
        self.verified(self.odd, "fp8", "--preset", "none", "--target", "none")

    def test_file_that_fails_replaces_nothing(self):
        self.output.write_bytes(b"somebody's")
        self.verified(self.odd, "fp8", "--preset", "none", "--force", code=DIFFERENT)
        self.assertEqual(self.output.read_bytes(), b"somebody's")

    def test_format_that_comfyui_does_not_load(self):
        result = self.verified(self.source, "fp8-row", code=USAGE)
        self.assertIn("--target none", result.stderr)
        self.assert_nothing_left(self.output)

    def test_target_keeps_what_would_fail_and_says_so(self):
        report = self.verified(self.odd, "fp8", "--preset", "general", "--json").json
        self.assertEqual([layer["action"] for layer in report["layers"]], ["keep"])
        self.assertRegex(" ".join(report["notes"]), "1 layer stays unquantized because ComfyUI's fast product would fail on it")

    def test_quantized_input(self):
        quantized = self.convert(self.source, "int8-row", output=self.folder / "int8.safetensors")
        self.verified(quantized, "fp8", "--preset", "none")


class Call(VerifyTest):
    def test_files_that_are_no_safetensors(self):
        self.file.write_bytes(b"PK\3\4" + bytes(100))
        self.assertEqual(self.check("verify", self.file, "--json", code=BAD_INPUT).stdout, "")
        self.check("verify", self.convert(self.source, "fp8"), "--source", self.file, code=BAD_INPUT)

    def test_unknown_target(self):
        self.refuse("verify", self.source, "--target", "comfy", code=USAGE, says=["--target", "comfyui"])

    def test_problems_are_on_stdout(self):
        tensors = self.tensors("fp8")
        tensors["a.weight_scale"] = Tensor("F32", (), NAN)
        st.write(self.file, tensors)
        result = self.check("verify", self.file, code=DIFFERENT)
        self.assertRegex(result.stdout, r"(?m)^problem a: its scale 'a.weight_scale' is not finite$")
        self.assertRegex(result.stdout, r"(?m)^failed .*1 problem,")


if __name__ == "__main__":
    unittest.main()
