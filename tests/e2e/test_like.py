"""`--like`: each layer gets the format that it has in another file."""
import json
import unittest

import numpy as np

import models
import safetensors_file as st
from program import BAD_INPUT, SEED, UNSUPPORTED, USAGE, ProgramTest

PREFIX = "model.diffusion_model."
RULES = [("block", "fp8-block", {"block_size": 128}), ("rotated", "int8-convrot", {"rotation_group": 64}), ("flat", "nf4-bnb", {"block_size": 128}),
         ("four", "nvfp4", {}), ("grouped", "w4a8", {"group_size": 64}), ("cast", "fp8-cast", {}), ("row", "int8-row", {}), ("kept", None, {})]


class LikeTest(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        self.model = {f"layers.{name}.weight": models.floats(rng, (128, 256)) for name, _, _ in RULES}
        self.model["layers.row.bias"] = models.floats(rng, (128,))
        self.model["img_in.weight"] = models.floats(rng, (256, 128))
        self.source = st.write(self.folder / "in.safetensors", self.model)
        rules = [{"match": {"contains": f".{name}."}, "action": "quantize" if fmt else "keep", **({"format": fmt} if fmt else {}), **options}
                 for name, fmt, options in RULES]
        self.rules = self.folder / "rules.json"
        self.rules.write_text(json.dumps({"rules": rules}))
        # The example has other weights, and quantizes what a preset would keep.
        other = {name: models.floats(rng, tensor.shape) for name, tensor in self.model.items()}
        self.other_source = st.write(self.folder / "other-in.safetensors", other)
        self.other = self.convert(self.other_source, "fp8", "--rules", self.rules, output=self.folder / "other.safetensors")
        self.expected = self.convert(self.source, "fp8", "--rules", self.rules, output=self.folder / "expected.safetensors")
        self.output = self.folder / "out.safetensors"

    def like(self, *options, other=None, source=None):
        return self.check("convert", source or self.source, "-o", self.output, "--like", other or self.other, "--force", "--quiet", "--json",
                          *options).json

    def formats(self, report):
        return {layer["name"]: layer["format"] or layer["action"] for layer in report["layers"]}

    def refuse_like(self, *options, says, code=USAGE, other=None):
        self.refuse("convert", self.source, "-o", self.output, "--like", other or self.other, *options, code=code, says=says)
        self.assert_nothing_left(self.output)


class Formats(LikeTest):
    def test_formats_sizes_groups_and_layouts_are_those_of_the_example(self):
        report = self.like()
        self.assertEqual(self.output.read_bytes(), self.expected.read_bytes())
        self.assertEqual(report["notes"], [note for note in report["notes"] if "--like" not in note])
        self.assertEqual(self.formats(report)["layers.kept.weight"], "keep")

    def test_quantized_scales(self):
        options = ("nf4-bnb", "--double-quant", "--target", "none")
        other = self.convert(self.other_source, *options, output=self.folder / "double.safetensors")
        expected = self.convert(self.source, *options, output=self.folder / "expected.safetensors")
        self.like("--target", "none", other=other)
        self.assertEqual(self.output.read_bytes(), expected.read_bytes())

    def test_example_in_the_header_in_shards_and_without_its_own_labels(self):
        file = st.read(self.convert(self.other_source, "int8-row", "--quant-metadata", output=self.folder / "int8.safetensors"))
        expected = self.convert(self.source, "int8-row", output=self.folder / "expected.safetensors").read_bytes()
        bare = {name: tensor for name, tensor in file.tensors.items() if not name.endswith(".comfy_quant")}
        self.like(other=st.write(self.folder / "header.safetensors", bare, file.metadata))
        self.assertEqual(self.output.read_bytes(), expected)
        folder = self.folder / "shards"
        folder.mkdir()
        names = sorted(file.tensors)
        for number, part in enumerate((names[::2], names[1::2]), 1):
            st.write(folder / f"m-{number:05}-of-00002.safetensors", {name: file.tensors[name] for name in part})
        self.like(other=folder)
        self.assertEqual(self.output.read_bytes(), expected)

    def test_example_in_the_older_layout(self):
        file = st.read(self.convert(self.other_source, "fp8", output=self.folder / "fp8.safetensors"))
        legacy = {name.replace(".weight_scale", ".scale_weight"): tensor for name, tensor in file.tensors.items() if ".comfy_quant" not in name}
        other = st.write(self.folder / "legacy.safetensors", legacy | {"scaled_fp8": st.Tensor("F8_E4M3", (2,), bytes(2))})
        self.assertEqual(set(self.formats(self.like(other=other)).values()), {"fp8"})
        self.assertEqual(json.loads(st.read(self.output).tensors["img_in.comfy_quant"].data), {"format": "float8_e4m3fn"})

    def test_options_of_the_conversion_hold(self):
        self.like("--full-precision-mm", "--quant-metadata")
        file = st.read(self.output)
        label = json.loads(file.tensors["layers.row.comfy_quant"].data)
        self.assertTrue(label["full_precision_matrix_mult"])
        self.assertEqual(json.loads(file.metadata["_quantization_metadata"])["layers"]["layers.row"], label)

    def test_quantized_input_is_kept_where_it_has_the_format(self):
        actions = {layer["name"]: layer["action"] for layer in self.like(source=self.expected)["layers"]}
        self.assertEqual(set(actions.values()), {"keep"})
        self.assertEqual(self.output.read_bytes(), self.expected.read_bytes())


class Order(LikeTest):
    def test_rules_and_exclusions_come_before_and_presets_after(self):
        self.rules.write_text(json.dumps({"rules": [{"match": {"contains": ".four."}, "action": "quantize", "format": "mxfp8"}]}))
        found = self.formats(self.like("--rules", self.rules, "--exclude", r"\.cast\."))
        self.assertEqual(found["layers.four.weight"], "mxfp8")
        self.assertEqual(found["layers.cast.weight"], "keep")
        self.assertEqual(found["img_in.weight"], "fp8")  # the preset general would keep it
        found = self.formats(self.like("--include", r"\.row\."))
        self.assertEqual({name for name, fmt in found.items() if fmt != "keep"}, {"layers.row.weight"})

    def test_layers_that_the_example_lacks_are_listed_and_kept_or_take_the_format(self):
        rng = np.random.default_rng(SEED)
        more = self.model | {"new.a.weight": models.floats(rng, (64, 64)), "norm_out.weight": models.floats(rng, (64, 64))}
        del more["layers.row.weight"]
        source = st.write(self.folder / "more.safetensors", more)
        report = self.like(source=source)
        notes = " ".join(report["notes"])
        self.assertRegex(notes, r"2 layers of the input are not in 'other.safetensors': new\.a\.weight, norm_out\.weight")
        self.assertRegex(notes, r"1 layer of 'other.safetensors' is not in the input: layers\.row\.weight")
        self.assertEqual(self.formats(report)["new.a.weight"], "keep")
        found = self.formats(self.like("--format", "int8-row", source=source))
        self.assertEqual(found["new.a.weight"], "int8-row")
        self.assertEqual(found["norm_out.weight"], "keep")  # by the preset
        self.assertEqual(found["layers.block.weight"], "fp8-block")

    def test_explain_names_the_example(self):
        text = self.check("plan", self.source, "--like", self.other, "--explain").stdout
        self.assertIn("'other.safetensors' has it as nvfp4 (--like)", text)
        self.assertIn("it is not quantized in 'other.safetensors' (--like)", text)
        self.assertIn("in-quantized.safetensors", text)


class Prefixes(LikeTest):
    def prefixed(self, path):
        return st.write(self.folder / f"prefixed-{path.name}", {PREFIX + name: tensor for name, tensor in st.read(path).tensors.items()})

    def test_prefix_of_the_example_is_bridged_and_said(self):
        report = self.like(other=self.prefixed(self.other))
        self.assertEqual(self.output.read_bytes(), self.expected.read_bytes())
        self.assertIn(f"have the prefix '{PREFIX}', which the input's lack", " ".join(report["notes"]))

    def test_prefix_of_the_input_is_bridged_and_said(self):
        report = self.like(source=self.prefixed(self.source))
        self.assert_holds(self.output, {PREFIX + name: tensor for name, tensor in st.read(self.expected).tensors.items()})
        self.assertIn(f"lack the prefix '{PREFIX}' of the input's", " ".join(report["notes"]))

    def test_names_that_are_equal_need_no_prefix(self):
        both = st.read(self.other).tensors | st.read(self.prefixed(self.other)).tensors
        report = self.like(other=st.write(self.folder / "both.safetensors", both))
        self.assertEqual(self.output.read_bytes(), self.expected.read_bytes())
        self.assertNotIn("prefix", " ".join(report["notes"]))


class Refusals(LikeTest):
    def test_example_of_another_model(self):
        other = st.write(self.folder / "alien.safetensors", {"x.y.weight": st.Tensor("F8_E4M3", (16, 16), bytes(256))})
        self.refuse_like(other=other, says=["no layer of 'alien.safetensors' has the name"])

    def test_example_that_is_not_quantized(self):
        self.refuse_like(other=self.other_source, says=["other-in", "nothing to follow"])

    def test_example_that_cannot_be_read(self):
        label = b'{"format": "svdquant_w4a4"}'
        tensors = st.read(self.other).tensors | {"img_in.comfy_quant": st.Tensor("U8", (len(label),), label)}
        self.refuse_like(other=st.write(self.folder / "svd.safetensors", tensors), code=UNSUPPORTED, says=["svd.safetensors", "img_in"])
        tensors["img_in.comfy_quant"] = st.Tensor("U8", (1,), b"{")
        self.refuse_like(other=st.write(self.folder / "bad.safetensors", tensors), code=BAD_INPUT, says=["bad.safetensors", "img_in"])

    def test_block_size_that_halftone_does_not_write(self):
        label = b'{"format": "float8_e4m3fn_blockwise", "group_size": 32}'
        tensors = {"img_in.weight": st.Tensor("F8_E4M3", (256, 128), bytes(256 * 128)), "img_in.weight_scale": st.Tensor("F32", (8, 4), bytes(128)),
                   "img_in.comfy_quant": st.Tensor("U8", (len(label),), label)}
        self.refuse_like(other=st.write(self.folder / "b32.safetensors", tensors), says=["img_in", "64 or 128, not 32"])

    def test_output_that_is_the_example(self):
        before = self.other.read_bytes()
        self.refuse("convert", self.source, "-o", self.other, "--like", self.other, "--force", code=USAGE, says=["input itself"])
        self.assertEqual(self.other.read_bytes(), before)

    def test_options_of_a_format_without_one(self):
        for options in (("--block-size", "64"), ("--rotation-group", "64"), ("--container", "bnb")):
            self.refuse_like(*options, says=[options[0], "without --format"])
        self.rules.write_text(json.dumps({"rules": [{"match": {"glob": "*"}, "action": "quantize"}]}))
        self.refuse_like("--rules", self.rules, says=["rules.json rule 1", "--format is missing"])

    def test_option_that_no_format_of_the_example_heeds(self):
        other = self.convert(self.other_source, "int8-row", output=self.folder / "int8.safetensors")
        self.refuse_like("--input-scale", other=other, says=["--input-scale has no effect", "int8.safetensors"])
        self.refuse_like("--scales", "search", other=other, says=["gains nothing"])

    def test_neither_example_nor_format(self):
        self.refuse("convert", self.source, "-o", self.output, code=USAGE, says=["--format is missing"])


if __name__ == "__main__":
    unittest.main()
