"""`--rotation auto`: rotated where that loses less, by errors that are computed here a second time."""
import json
import unittest

import numpy as np

import reference
import safetensors_file as st
from program import BAD_INPUT, SEED, USAGE, ProgramTest, sha256

ROWS, COLUMNS = 40, 256
LAYERS = ("flat", "heavy", "even", "zero")


def stored(array, dtype="F32"):
    return reference.from_float32(array.astype(np.float32), dtype)


class RotationAuto(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        # Two magnitudes only, which INT8 holds exactly; a few large columns, which rotation spreads; neither; nothing.
        heavy = rng.standard_normal((ROWS, COLUMNS))
        heavy[:, :3] *= 30
        self.weights = {"flat": rng.choice([-1.0, 1.0], (ROWS, COLUMNS)), "heavy": heavy,
                        "even": rng.uniform(-1, 1, (ROWS, COLUMNS)), "zero": np.zeros((ROWS, COLUMNS))}
        self.weights = {name: weight.astype(np.float32) for name, weight in self.weights.items()}
        tensors = {f"{name}.weight": stored(weight) for name, weight in self.weights.items()}
        self.source = st.write(self.folder / "in.safetensors", tensors | {"odd.weight": stored(rng.standard_normal((8, 24)))})

    def convert(self, *options, out="out.safetensors", fmt="int8-convrot", source=None, **checks):
        return self.check("convert", source or self.source, "--format", fmt, "--preset", "none", "-o", self.folder / out, "--force", "--quiet",
                          "--json", *options, **checks)

    def layers(self, report):
        return {layer["name"].removesuffix(".weight"): layer for layer in report["layers"]}

    def errors(self, fmt, weights=1.0, *options):
        """The squared error of each layer in `fmt`."""
        self.convert(*options, out="form.safetensors", fmt=fmt)
        back = self.folder / "back.safetensors"
        self.check("dequantize", self.folder / "form.safetensors", "-o", back, "--dtype", "f32", "--force", "--quiet")
        restored = st.read(back).tensors
        return {name: float(np.sum((reference.to_float32(restored[f"{name}.weight"]).astype(np.float64) - weight) ** 2 * weights))
                for name, weight in self.weights.items()}

    def assert_chosen_by(self, report, rotated, plain, weighted):
        for name, layer in self.layers(report).items():
            if name == "odd":
                self.assertEqual(layer["action"], "keep")
                self.assertNotIn("rotation", layer)
                continue
            choice = layer["rotation"]
            np.testing.assert_allclose(choice["rotated_error"], rotated[name], rtol=1e-9)
            np.testing.assert_allclose(choice["plain_error"], plain[name], rtol=1e-9)
            self.assertEqual(choice["rotated"], rotated[name] < plain[name], name)
            self.assertEqual(layer["format"], "int8-convrot" if choice["rotated"] else "int8-row", name)
            self.assertEqual(choice["weighted"], weighted)

    def test_each_layer_takes_the_form_that_loses_less(self):
        report = self.convert("--rotation", "auto").json
        self.assert_chosen_by(report, self.errors("int8-convrot"), self.errors("int8-row"), False)
        forms = {name: layer["format"] for name, layer in self.layers(report).items()}
        self.assertEqual((forms["flat"], forms["heavy"], forms["zero"]), ("int8-row", "int8-convrot", "int8-row"))
        self.assertTrue(any("--rotation auto" in note for note in report["notes"]), report["notes"])

    def test_layers_have_the_bytes_of_their_form(self):
        report = self.convert("--rotation", "auto").json
        mixed = st.read(self.folder / "out.safetensors").tensors
        for fmt in ("int8-convrot", "int8-row"):
            self.convert(out="form.safetensors", fmt=fmt)
            pure = st.read(self.folder / "form.safetensors").tensors
            for name, layer in self.layers(report).items():
                if layer["format"] == fmt:
                    for suffix in ("weight", "weight_scale", "comfy_quant"):
                        self.assertEqual(mixed[f"{name}.{suffix}"], pure[f"{name}.{suffix}"])
        self.check("verify", self.folder / "out.safetensors", "--source", self.source)

    def test_the_plan_says_size_choice_and_hash(self):
        planned = self.check("plan", self.source, "--format", "int8-convrot", "--preset", "none", "--rotation", "auto", "--json").json
        done = self.convert("--rotation", "auto").json
        for key in ("layers", "plan_hash", "notes"):
            self.assertEqual(planned[key], done[key])
        self.assertEqual(planned["output"]["bytes"], (self.folder / "out.safetensors").stat().st_size)
        explained = self.check("plan", self.source, "--format", "int8-convrot", "--preset", "none", "--rotation", "auto", "--explain").stdout
        self.assertIn("written as int8-row", explained)

    def test_threads_and_memory_change_nothing(self):
        big = np.random.default_rng(SEED).standard_normal((1500, 1024)).astype(np.float32)
        source = st.write(self.folder / "big.safetensors", {"a.weight": stored(big, "BF16"), "b.weight": stored(big * big, "F16")})
        results = set()
        for options in (("--threads", "1"), ("--threads", "7", "--memory", "16MiB")):
            report = self.convert("--rotation", "auto", *options, source=source).json
            results.add((report["plan_hash"], sha256(self.folder / "out.safetensors")))
        self.assertEqual(len(results), 1)

    def test_statistics_weight_the_columns(self):
        squares = np.full(COLUMNS, 1e-6)
        squares[:3] = 1.0  # only the large columns matter, and rotation spreads their error over the others
        moments = np.diag(squares)
        for name, tensors in {"diag": {f"{layer}.diag": squares for layer in LAYERS},
                              "second": {f"{layer}.second_moment": moments for layer in LAYERS}}.items():
            stats = st.write(self.folder / f"{name}.safetensors", {key: stored(value) for key, value in tensors.items()})
            report = self.convert("--rotation", "auto", "--stats", stats).json
            weights = squares.astype(np.float32).astype(np.float64)
            self.assert_chosen_by(report, self.errors("int8-convrot", weights), self.errors("int8-row", weights), True)
            self.assertNotIn("learned", report)

    def test_statistics_of_some_layers_are_noted_and_of_none_refused(self):
        stats = st.write(self.folder / "s.safetensors", {"heavy.diag": stored(np.ones(COLUMNS))})
        report = self.convert("--rotation", "auto", "--stats", stats).json
        self.assertEqual([name for name, layer in self.layers(report).items() if layer.get("rotation", {}).get("weighted")], ["heavy"])
        self.assertTrue(any("mean squares" in note for note in report["notes"]))
        none = st.write(self.folder / "none.safetensors", {"other.diag": stored(np.ones(COLUMNS))})
        self.refuse("--rotation", "auto", "--stats", none, code=BAD_INPUT, says=["none.safetensors", "rotated layer"])
        self.convert("--rotation", "auto", "--stats", none, "--allow-unused")

    def test_broken_statistics_are_refused(self):
        for value in (-1.0, np.nan, np.inf):
            squares = np.ones(COLUMNS)
            squares[7] = value
            stats = st.write(self.folder / "s.safetensors", {"heavy.diag": stored(squares)})
            self.refuse("--rotation", "auto", "--stats", stats, code=BAD_INPUT, says=["heavy.diag"])

    def test_learned_rounding_goes_on_in_the_chosen_form(self):
        report = self.convert("--rotation", "auto", "--rounding", "learned", "--effort", "fast").json
        self.assertEqual(len(report["learned"]), len(LAYERS))
        self.assertEqual(self.layers(report)["flat"]["format"], "int8-row")

    def test_weights_that_only_fit_unrotated_are_not_rotated(self):
        # 1.5e38 fits binary32; the sum of four of them does not.
        weight = np.full((2, COLUMNS), 3e38, np.float32)
        source = st.write(self.folder / "huge.safetensors", {"a.weight": stored(weight)})
        layer = self.convert("--rotation", "auto", source=source).json["layers"][0]
        self.assertEqual(layer["format"], "int8-row")
        self.assertIsNone(layer["rotation"]["rotated_error"])

    def test_weights_that_are_not_finite_are_named(self):
        weight = np.ones((2, COLUMNS), np.float32)
        weight[1, 5] = np.nan
        source = st.write(self.folder / "nan.safetensors", {"a.weight": stored(weight)})
        self.refuse("--rotation", "auto", source=source, code=BAD_INPUT, says=["a.weight", "row 1, column 5"])

    def test_a_layer_that_is_stored_in_its_plain_form_stays(self):
        plain = self.folder / "plain.safetensors"
        self.convert(out="plain.safetensors", fmt="int8-row")
        report = self.convert("--rotation", "auto", source=plain).json
        self.assertEqual({layer["action"] for layer in report["layers"]}, {"keep"})

    def test_rules_choose_the_format_first(self):
        rules = self.folder / "r.json"
        rules.write_text(json.dumps({"rules": [{"match": {"contains": "flat"}, "action": "quantize", "format": "int8-convrot"}]}))
        report = self.convert("--rotation", "auto", "--rules", rules, fmt="fp8-row").json
        forms = {name: layer["format"] for name, layer in self.layers(report).items()}
        self.assertEqual((forms["flat"], forms["heavy"]), ("int8-row", "fp8-row"))

    def test_an_example_that_decides_for_all_leaves_nothing_and_a_note_says_so(self):
        self.convert(out="like.safetensors")
        for options in ((), ("--dry-run",)):
            report = self.convert("--rotation", "auto", "--like", self.folder / "like.safetensors", *options).json
            self.assertIn("--rotation auto has no effect: no rotated layer is left to it", report["notes"])

    def refuse(self, *options, code, says, **arguments):
        message = self.convert(*options, code=code, **arguments).stderr
        for words in says:
            self.assertIn(words, message)

    def test_formats_without_a_choice_are_refused(self):
        self.refuse("--rotation", "auto", fmt="fp8", code=USAGE, says=["--rotation auto has no effect on fp8", "rotates nothing"])
        for fmt in ("w4a4-convrot", "w4a8"):
            self.refuse("--rotation", "auto", fmt=fmt, code=USAGE, says=[fmt, "no loader takes unrotated"])
        self.refuse("--rotation", "sometimes", code=USAGE, says=["always", "auto"])


if __name__ == "__main__":
    unittest.main()
