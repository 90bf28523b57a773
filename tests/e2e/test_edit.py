"""`edit`: names, metadata and labels change; the bytes of the weights do not."""
import json
import unittest

import numpy as np

import models
import safetensors_file as st
from program import BAD_INPUT, SEED, USAGE, ProgramTest

PREFIX = "model.diffusion_model."
HEADER_KEY = "_quantization_metadata"


class EditTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = models.transformer(np.random.default_rng(SEED), prefix="")
        self.plain = st.write(self.folder / "plain.safetensors", self.model, {"format": "pt", "title": "old"})
        self.source = self.convert(self.plain, "fp8", "--quant-metadata", output=self.folder / "in.safetensors")
        self.before = st.read(self.source)
        self.output = self.folder / "out.safetensors"

    def edit(self, *options, source=None):
        self.check("edit", source or self.source, "-o", self.output, "--force", "--quiet", *options)
        return st.read(self.output)

    def refuse_edit(self, *options, says, code=USAGE, source=None):
        self.refuse("edit", source or self.source, "-o", self.output, *options, code=code, says=says, one_sentence=True)
        self.assert_nothing_left(self.output)

    def header_layers(self, file):
        return json.loads(file.metadata[HEADER_KEY])["layers"]

    def assert_renamed(self, file, new_name):
        """Every tensor is there under its new name, and the header names the layers alike."""
        self.assert_holds(self.output, {new_name(name): tensor for name, tensor in self.before.tensors.items()})
        expected = {new_name(f"{layer}.weight").removesuffix(".weight"): label
                    for layer, label in self.header_layers(self.before).items()}
        self.assertEqual(self.header_layers(file), expected)


class Names(EditTest):
    def test_prefix_is_added_and_stripped(self):
        added = self.edit("--add-prefix", PREFIX)
        self.assert_renamed(added, lambda name: PREFIX + name)
        prefixed = self.output.rename(self.folder / "prefixed.safetensors")
        self.edit("--strip-prefix", PREFIX, source=prefixed)
        self.assertEqual(self.output.read_bytes(), self.source.read_bytes())

    def test_prefix_is_stripped_where_a_name_begins_with_it(self):
        self.edit("--strip-prefix", "blocks.0.")
        names = set(st.read(self.output).tensors)
        self.assertEqual(names, {name.removeprefix("blocks.0.") for name in self.before.tensors})

    def test_rename_replaces_every_match_with_groups(self):
        renamed = self.edit("--rename", r"blocks\.(\d+)=layer_\1", "--rename", r"attn=attention")
        self.assert_renamed(renamed, lambda name: name.replace("blocks.", "layer_").replace("attn", "attention"))

    def test_name_of_a_scale_or_label_is_refused(self):
        layer = next(name.removesuffix("_scale") for name in self.before.tensors if name.endswith(".weight_scale"))
        base = layer.removesuffix(".weight")
        plain = next(name for name in self.before.tensors if name.endswith("bias"))
        kept = next(name for name in self.before.tensors if name.endswith(".weight") and name + "_scale" not in self.before.tensors)
        for name in (f"{base}.scale_weight", f"{base}.input_scale", f"{base}.weight_scale_2", f"{layer}.absmax", kept.removesuffix("weight") + "scale_weight"):
            with self.subTest(name):
                self.refuse_edit("--rename", f"^{plain}$={name}", says=[f"would be called '{name}', by which it would belong to"])
        # Without a weight of that name it is a name like others.
        self.edit("--rename", f"^{plain}$=nobody.weight_scale")

    def test_replacement_may_hold_an_equals_sign(self):
        self.assertIn("a=b.0.norm.weight", self.edit("--rename", "blocks=a=b").tensors)

    def test_drop_strip_rename_add_follow_one_another(self):
        file = self.edit("--add-prefix", "x.", "--rename", r"^attn=blocks.0", "--strip-prefix", "blocks.1.", "--drop", r"^blocks\.0\.")
        self.assertTrue(all(name.startswith("x.") for name in file.tensors))
        self.assertIn("x.blocks.0.qkv.weight", file.tensors)
        self.assertEqual(self.header_layers(file)["x.blocks.0.qkv"], {"format": "float8_e4m3fn"})

    def test_dropped_layer_takes_its_tensors_and_its_header_entry_along(self):
        file = self.edit("--drop", r"blocks\.0\.mlp\.fc\.weight$")
        gone = {"blocks.0.mlp.fc.weight", "blocks.0.mlp.fc.weight_scale", "blocks.0.mlp.fc.comfy_quant"}
        self.assertEqual(set(self.before.tensors) - set(file.tensors), gone)
        self.assertNotIn("blocks.0.mlp.fc", self.header_layers(file))
        self.assertIn("blocks.1.mlp.fc", self.header_layers(file))

    def test_every_format_is_renamed_as_a_whole(self):
        for fmt in ("int8-convrot", "nvfp4", "mxfp8-hybrid", "nf4", "fp4-bnb", "fp8-cast"):
            with self.subTest(fmt):
                source = self.convert(self.plain, fmt, output=self.folder / f"{fmt}.safetensors")
                self.edit("--add-prefix", PREFIX, source=source)
                self.assert_holds(self.output, {PREFIX + name: tensor for name, tensor in st.read(source).tensors.items()})

    def test_older_layout_keeps_its_marker_beside_its_layers(self):
        legacy = {name.replace(".weight_scale", ".scale_weight"): tensor
                  for name, tensor in self.before.tensors.items() if ".comfy_quant" not in name}
        legacy["scaled_fp8"] = st.Tensor("F8_E4M3", (2,), bytes(2))
        source = st.write(self.folder / "legacy.safetensors", legacy)
        self.edit("--add-prefix", PREFIX, source=source)
        self.assert_holds(self.output, {PREFIX + name: tensor for name, tensor in legacy.items()})
        self.output.unlink()
        self.refuse_edit("--drop", "scaled_fp8", source=source, says=["scaled_fp8", "older layout"])

    def test_two_tensors_of_one_name_are_refused(self):
        self.refuse_edit("--rename", r"blocks\.\d=block", says=["blocks.0", "blocks.1", "both be called 'block"])
        self.refuse_edit("--strip-prefix", "blocks.0.", "--rename", r"blocks\.1\.=", says=["both be called"])

    def test_companion_without_its_weight_is_refused(self):
        self.refuse_edit("--drop", r"blocks\.0\.mlp\.fc\.weight_scale", says=["weight_scale", "blocks.0.mlp.fc", "stays"])
        self.refuse_edit("--rename", r"fc\.weight$=other.weight", says=["fc.comfy_quant", "other.comfy_quant"])
        self.refuse_edit("--rename", r"\.weight$=.kernel", says=["without the '.weight'"])

    def test_name_that_makes_a_plain_tensor_a_layer_is_refused(self):
        tensors = dict(self.before.tensors)
        tensors["lost.comfy_quant"] = tensors["blocks.0.mlp.fc.comfy_quant"]
        source = st.write(self.folder / "lost.safetensors", tensors)
        self.refuse_edit("--rename", r"blocks\.0\.norm\.weight=lost.weight", source=source, says=["'blocks.0.norm.weight' would be called 'lost.weight', to which 'lost.comfy_quant'"])

    def test_pattern_that_matches_nothing_is_refused(self):
        for options in (("--drop", "nowhere"), ("--rename", "nowhere=x"), ("--strip-prefix", "nowhere."),
                        ("--full-precision-mm", "nowhere"), ("--no-full-precision-mm", "norm"), ("--remove-metadata", "nowhere")):
            with self.subTest(options):
                self.refuse_edit(*options, says=[options[0], "nowhere|norm"])

    def test_malformed_options_are_refused(self):
        for options, says in (((), "no change"), (("--rename", "abc"), "REGEX=REPLACEMENT"), (("--rename", "=x"), "empty"),
                              (("--rename", "(=x"), "regular expression"), (("--rename", r"a=\7"), "replace"), (("--drop", ""), "empty"),
                              (("--set-metadata", "k"), "KEY=VALUE"), (("--rename", ".*="), "empty")):
            with self.subTest(options):
                self.refuse_edit(*options, says=[says])


class MetadataEntries(EditTest):
    def test_entries_are_set_and_removed(self):
        file = self.edit("--set-metadata", "author=A = B", "--remove-metadata", "title")
        self.assertEqual({key: value for key, value in file.metadata.items() if key != HEADER_KEY}, {"format": "pt", "author": "A = B"})
        self.assert_holds(self.output, self.before.tensors)
        self.assertEqual(file.metadata[HEADER_KEY], self.before.metadata[HEADER_KEY])

    def test_file_without_metadata_gets_some(self):
        source = st.write(self.folder / "bare.safetensors", self.model)
        self.assertEqual(self.edit("--set-metadata", "k=v", source=source).metadata, {"k": "v"})

    def test_header_labels_can_go_where_the_layers_have_their_own(self):
        self.assertNotIn(HEADER_KEY, self.edit("--remove-metadata", HEADER_KEY).metadata)
        self.output.unlink()
        tensors = {name: tensor for name, tensor in self.before.tensors.items() if not name.endswith(".comfy_quant")}
        source = st.write(self.folder / "header.safetensors", tensors, self.before.metadata)
        self.refuse_edit("--remove-metadata", HEADER_KEY, source=source, code=BAD_INPUT, says=["no longer be read as fp8", "migrate"])

    def test_header_entry_that_no_loader_understands_can_go(self):
        source = st.write(self.folder / "broken.safetensors", self.before.tensors, {HEADER_KEY: "{"})
        self.assertEqual(self.edit("--remove-metadata", HEADER_KEY, source=source).metadata, {})

    def test_header_labels_cannot_be_set(self):
        self.refuse_edit("--set-metadata", f"{HEADER_KEY}={{}}", says=["follows the labels"])
        self.refuse_edit("--set-metadata", "a=1", "--set-metadata", "a=2", says=["gives 'a' two values"])
        self.refuse_edit("--set-metadata", "title=x", "--remove-metadata", "title", says=["to be set and to be removed"])


class Flags(EditTest):
    def test_flag_is_set_as_convert_writes_it_and_cleared(self):
        for fmt in ("fp8", "fp8-block", "int8-convrot", "int8-row", "nvfp4", "w4a4-convrot"):
            with self.subTest(fmt):
                source = self.convert(self.plain, fmt, "--quant-metadata", output=self.folder / f"{fmt}.safetensors")
                expected = self.convert(self.plain, fmt, "--quant-metadata", "--full-precision-mm", output=self.folder / "expected.safetensors")
                self.edit("--full-precision-mm", ".", source=source)
                self.assertEqual(self.output.read_bytes(), expected.read_bytes())
                self.edit("--no-full-precision-mm", ".", source=expected)
                self.assertEqual(self.output.read_bytes(), source.read_bytes())

    def test_only_matching_layers_get_it(self):
        file = self.edit("--full-precision-mm", r"blocks\.1\.")
        flagged = {layer for layer, label in self.header_layers(file).items() if "full_precision_matrix_mult" in label}
        self.assertEqual(flagged, {layer for layer in self.header_layers(file) if layer.startswith("blocks.1.")})
        for layer, label in self.header_layers(file).items():
            self.assertEqual(json.loads(file.tensors[layer + ".comfy_quant"].data), label)

    def test_flag_of_a_renamed_layer(self):
        file = self.edit("--full-precision-mm", r"^blocks\.1\.", "--add-prefix", PREFIX)
        self.assertTrue(json.loads(file.tensors[PREFIX + "blocks.1.mlp.fc.comfy_quant"].data)["full_precision_matrix_mult"])

    def test_unknown_keys_of_a_label_stay(self):
        tensors = dict(self.before.tensors)
        text = b'{"format": "float8_e4m3fn", "note": "\\u00e9", "n": 1}'
        tensors["blocks.0.mlp.fc.comfy_quant"] = st.Tensor("U8", (len(text),), text)
        source = st.write(self.folder / "noted.safetensors", tensors)
        label = self.edit("--full-precision-mm", "blocks.0.mlp", source=source).tensors["blocks.0.mlp.fc.comfy_quant"].data
        self.assertEqual(label, text[:-1] + b', "full_precision_matrix_mult": true}')

    def test_layers_without_a_label_are_counted(self):
        source = self.convert(self.plain, "nf4", output=self.folder / "nf4.safetensors")
        report = self.check("edit", source, "-o", self.output, "--full-precision-mm", ".", "--json").json
        self.assertRegex(" ".join(report["notes"]), r"\d+ layers without a label")

    def test_both_flags_for_one_layer_are_refused(self):
        self.refuse_edit("--full-precision-mm", "mlp", "--no-full-precision-mm", "fc", says=["both match"])


class Report(EditTest):
    def test_dry_run_decides_and_writes_nothing(self):
        options = ("edit", self.source, "-o", self.output, "--add-prefix", PREFIX, "--set-metadata", "k=v", "--json")
        plan = self.check(*options, "--dry-run").json
        self.assert_nothing_left(self.output)
        report = self.check(*options).json
        self.assertEqual(plan["plan_hash"], report["plan_hash"])
        self.assertEqual(plan["output"]["bytes"], self.output.stat().st_size)
        self.assertEqual(len(plan["changes"]), len(self.before.tensors) + 1)
        self.assertIn({"subject": "metadata", "what": "'k' is set"}, plan["changes"])

    def test_shards_become_one_file(self):
        names = sorted(self.before.tensors)
        folder = self.folder / "shards"
        folder.mkdir()
        for number, part in enumerate((names[::2], names[1::2]), 1):
            st.write(folder / f"m-{number:05}-of-00002.safetensors", {name: self.before.tensors[name] for name in part})
        self.edit("--add-prefix", PREFIX, source=folder)
        self.assert_holds(self.output, {PREFIX + name: tensor for name, tensor in self.before.tensors.items()})

    def test_default_name_and_overwriting(self):
        self.check("edit", self.source, "--add-prefix", "x.", "--quiet")
        self.assertTrue((self.folder / "in-edited.safetensors").exists())
        self.refuse("edit", self.source, "--add-prefix", "x.", code=USAGE, says=["exists"])
        self.refuse("edit", self.source, "-o", self.source, "--add-prefix", "x.", "--force", code=USAGE, says=["input itself"])

    def test_threads_change_nothing(self):
        files = {self.check("edit", self.source, "-o", self.output, "--add-prefix", "x.", "--force", "--threads", n) and
                 self.output.read_bytes() for n in (1, 3)}
        self.assertEqual(len(files), 1)


if __name__ == "__main__":
    unittest.main()
