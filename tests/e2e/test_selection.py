"""Which layers are quantized, and how: patterns, heuristics, rules, indivisible layers, the T5 preset."""
import json
import unittest

import numpy as np

import models
import reference
import safetensors_file as st
from command_line import CommandLineTest
from program import BAD_INPUT, IO_ERROR, SEED, UNSUPPORTED, USAGE

PLAIN = ("--format", "fp8", "--preset", "none")


class Patterns(CommandLineTest):
    def test_exclude_keeps_what_it_finds(self):
        options = ("--exclude", r"blocks\.0\.attn", "--exclude", r"mlp\.fc\.weight$")
        output = self.convert(self.source, "fp8", *options)
        kept = ("blocks.0.attn", "mlp.fc")
        expected = reference.convert(self.model, "fp8", keep=lambda name: any(word in name for word in kept))
        self.assert_holds(output, expected)

    def test_include_restricts(self):
        output = self.convert(self.source, "fp8", "--include", r"blocks\.0\.", "--include", "1.mlp")
        self.assert_holds(output, reference.convert(self.model, "fp8", keep=lambda name: "blocks.1.attn" in name))

    def test_exclude_wins_over_include(self):
        actions = self.actions("--include", "blocks", "--exclude", r"blocks\.1")
        self.assertEqual(actions, {name: "keep" if "blocks.1" in name else "quantize" for name in self.weights})

    def test_pattern_that_finds_nothing_is_an_error(self):
        for option in ("--include", "--exclude"):
            with self.subTest(option):
                self.refuse_convert(*PLAIN, option, "nothing_like_this", says=["nothing_like_this"])
                self.actions(option, "nothing_like_this", "--allow-unused")

    def test_invalid_pattern_is_an_error(self):
        for option in ("--include", "--exclude"):
            with self.subTest(option):
                self.refuse_convert(*PLAIN, option, "blocks(", says=[option, r"blocks\("])


class Heuristics(CommandLineTest):
    def shapes(self, *shapes):
        return st.write_sparse(self.folder / "shapes.safetensors",
                               [(f"{rows}x{columns}.weight", "BF16", (rows, columns)) for rows, columns in shapes])

    def kept(self, source, *options, fmt="fp8"):
        actions = self.actions(*options, source=source, fmt=fmt)
        return sorted(name.removesuffix(".weight") for name, action in actions.items() if action == "keep")

    def test_heur_skips_small_and_oblong_layers(self):
        source = self.shapes((1024, 1024),  # longest side below 4096
                             (3776, 3968),  # below 15 million elements and nearly square
                             (16384, 512), (512, 16384),  # aspect 32
                             (4096, 2048),  # small, but its aspect is 2
                             (3840, 4096),  # 15.7 million elements
                             (8192, 8192), (5120, 20480), (5120, 25600))  # large; aspect 5 with a short side of 5120
        self.assertEqual(self.kept(source, "--heur"), ["1024x1024", "16384x512", "3776x3968", "512x16384"])

    def test_divisible_follows_the_block_size(self):
        source = self.shapes((64, 64), (128, 128), (192, 128), (100, 128), (128, 100), (32, 64), (256, 384))
        self.assertEqual(self.kept(source, "--heur=divisible"), ["100x128", "128x100", "32x64"])
        self.assertEqual(self.kept(source, "--heur=divisible", fmt="int8-row"),
                         ["100x128", "128x100", "192x128", "32x64", "64x64"])
        self.assertEqual(self.kept(source, "--heur=divisible", "--block-size", 128, fmt="fp8-block"),
                         ["100x128", "128x100", "192x128", "32x64", "64x64"])

    def test_no_heuristic_by_default(self):
        self.assertEqual(self.kept(self.shapes((3, 5), (1, 4096))), [])


class Indivisible(CommandLineTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        self.model = {"good.weight": models.floats(rng, (128, 256)), "bad.weight": models.floats(rng, (130, 256))}
        self.source = st.write(self.folder / "in.safetensors", self.model)

    def test_error_names_layer_dimension_and_ways_out(self):
        for fmt in ("fp8-block", "int8-block"):
            for options in ((), ("--indivisible", "error")):
                with self.subTest(format=fmt, options=options):
                    self.refuse_convert("--format", fmt, "--preset", "none", *options, code=(USAGE, UNSUPPORTED),
                                        says=[r"bad\.weight|\bbad\b", r"\b130\b", "--indivisible"])

    def test_keep(self):
        for fmt in ("fp8-block", "int8-block"):
            with self.subTest(fmt):
                output = self.convert(self.source, fmt, "--indivisible", "keep")
                self.assert_holds(output, reference.convert(self.model, fmt))

    def test_plain_uses_a_format_without_blocks_and_labels_it(self):
        names = {text: fmt for fmt in ("fp8", "fp8-row", "int8", "int8-row") for text in [reference.comfy_quant(fmt)]}
        for fmt in ("fp8-block", "int8-block"):
            with self.subTest(fmt):
                tensors = st.read(self.convert(self.source, fmt, "--indivisible", "plain")).tensors
                plain = names[tensors["bad.comfy_quant"].data]
                self.assertEqual(plain[:3], fmt[:3])
                expected = reference.convert_layer("good.weight", self.model["good.weight"], fmt)
                expected |= reference.convert_layer("bad.weight", self.model["bad.weight"], plain)
                expected.pop("bad.input_scale", None), tensors.pop("bad.input_scale", None)
                self.assertEqual(tensors, expected)


class Rules(CommandLineTest):
    def rules(self, *rules, name="rules.json"):
        path = self.folder / name
        path.write_text(json.dumps({"rules": rules}))
        return path

    def test_first_match_decides(self):
        path = self.rules({"match": {"contains": "blocks.0.attn"}, "action": "keep", "why": "first layer"},
                          {"match": {"glob": "*attn.qkv.weight"}, "action": "quantize", "format": "int8-row"},
                          {"match": {"regex": r"blocks\.\d\.mlp"}, "action": "quantize", "format": "fp8-block",
                           "block_size": 128})
        output = self.convert(self.source, "fp8", "--rules", path)
        expected = {}
        for name, tensor in self.model.items():
            if not reference.is_candidate(name, tensor) or "blocks.0.attn" in name:
                expected[name] = tensor
            elif "attn" in name:
                expected |= reference.convert_layer(name, tensor, "int8-row")
            else:
                expected |= reference.convert_layer(name, tensor, "fp8-block", 128)
        self.assert_holds(output, expected)

    def test_the_reason_is_in_the_plan(self):
        path = self.rules({"match": {"contains": "blocks.0.attn"}, "action": "keep", "why": "first layer matters"})
        reasons = {layer["name"]: layer["reason"] for layer in self.plan("--rules", path)["layers"]}
        self.assertIn("first layer matters", reasons["model.diffusion_model.blocks.0.attn.qkv.weight"])

    def test_drop_and_cast(self):
        path = self.rules({"match": {"contains": "blocks.1."}, "action": "drop"},
                          {"match": {"contains": "mlp.fc.weight"}, "action": "cast", "dtype": "bf16"})
        model = models.transformer(np.random.default_rng(SEED), "F32")
        source = st.write(self.folder / "f32.safetensors", model)
        expected = {}
        for name, tensor in model.items():
            if "blocks.1." in name:
                continue
            if "mlp.fc.weight" in name:
                expected[name] = reference.from_float32(reference.to_float32(tensor), "BF16")
            else:
                expected |= reference.convert({name: tensor}, "fp8")
        self.assert_holds(self.convert(source, "fp8", "--rules", path), expected)

    def test_rule_that_matches_nothing_is_an_error(self):
        path = self.rules({"match": {"contains": "nothing_like_this"}, "action": "keep"})
        self.refuse_convert(*PLAIN, "--rules", path, says=["nothing_like_this"])
        self.actions("--rules", path, "--allow-unused")

    def test_broken_rules_are_errors(self):
        match = {"contains": "blocks"}
        broken = (({"match": match, "action": "kep"}, "kep"),
                  ({"match": match}, "action"),
                  ({"action": "keep"}, "match"),
                  ({"match": match, "action": "quantize", "format": "fp9"}, "fp9"),
                  ({"match": {"regex": "("}, "action": "keep"}, "regex|expression"),
                  ({"match": {"like": "x"}, "action": "keep"}, "like"),
                  ({"match": match, "action": "cast", "dtype": "b16"}, "b16"),
                  ({"match": match, "action": "keep", "fromat": "fp8"}, "fromat"))
        for number, (rule, word) in enumerate(broken):
            with self.subTest(rule):
                path = self.rules(rule, name=f"rules{number}.json")
                self.refuse_convert(*PLAIN, "--rules", path, code=(USAGE, BAD_INPUT), says=[word, f"rules{number}"])

    def test_rules_that_are_not_json(self):
        path = self.folder / "rules.json"
        for text in ("", "{", "[]", '{"rules":{}}', '{"rulse":[]}'):
            with self.subTest(text):
                path.write_text(text)
                self.refuse_convert(*PLAIN, "--rules", path, code=(USAGE, BAD_INPUT), says=["rules.json"])

    def test_missing_rules_file(self):
        self.refuse_convert(*PLAIN, "--rules", self.folder / "absent.json", code=(USAGE, BAD_INPUT, IO_ERROR),
                            says=["absent.json"])


class TextEncoder(CommandLineTest):
    def test_t5xxl_removes_the_decoder_and_keeps_the_fragile_layers(self):
        rng = np.random.default_rng(SEED)
        model = {name: models.floats(rng, shape) for name, shape in {
            "shared.weight": (128, 64), "encoder.block.0.layer.0.SelfAttention.q.weight": (64, 64),
            "encoder.block.0.layer.0.layer_norm.weight": (64,), "decoder.block.0.layer.0.SelfAttention.q.weight": (64, 64),
            "decoder.final_layer_norm.weight": (64,), "lm_head.weight": (128, 64)}.items()}
        source = st.write(self.folder / "t5.safetensors", model)
        layer = "encoder.block.0.layer.0.SelfAttention.q.weight"
        self.assertEqual(self.actions(source=source, preset="t5xxl"), {
            "shared.weight": "keep", layer: "quantize", "decoder.block.0.layer.0.SelfAttention.q.weight": "drop",
            "lm_head.weight": "drop"})
        self.check("convert", source, "-o", self.output, "--format", "fp8", "--preset", "t5xxl", "--quiet")
        tensors = st.read(self.output).tensors
        tensors.pop(layer.replace(".weight", ".input_scale"), None)
        expected = {name: model[name] for name in ("shared.weight", "encoder.block.0.layer.0.layer_norm.weight")}
        self.assertEqual(tensors, expected | reference.convert_layer(layer, model[layer], "fp8"))


if __name__ == "__main__":
    unittest.main()
