"""eval: figures, histograms, outputs and the page, against numpy."""
import math
import re
import unittest
from html.parser import HTMLParser

import numpy as np

import models
import reference
import reference_blocks
import safetensors_file as st
from program import BAD_INPUT, SEED, USAGE, ProgramTest, run

VOID = {"meta", "wbr"}


class Balanced(HTMLParser):
    """Checks that every element that begins also ends, and collects their names."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.seen, self.text = [], set(), []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


class EvalTest(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        self.model = {"a.weight": models.floats(rng, (96, 256)), "b.weight": models.floats(rng, (64, 512), spread=0.2),
                      "b.bias": models.floats(rng, (64,)), "norm.weight": models.floats(rng, (256,))}
        self.source = st.write(self.folder / "in.safetensors", self.model)

    def truth(self, name):
        return reference.to_float32(self.model[name]).astype(np.float64)

    def eval(self, file, *options, source=None):
        return self.check("eval", file, "--source", source or self.source, "--json", *options).json

    def layers(self, report):
        return {layer["name"]: layer for layer in report["layers"]}


class Figures(EvalTest):
    def test_are_those_of_compare(self):
        for fmt in ("fp8", "int8-convrot", "nvfp4", "nf4"):
            with self.subTest(fmt):
                file = self.convert(self.source, fmt)
                compared = self.layers(self.check("compare", self.source, file, "--json", code=1).json)
                report = self.eval(file)
                self.assertEqual(sorted(compared), sorted(self.layers(report)))
                for name, layer in self.layers(report).items():
                    for key in ("sqnr_db", "cosine", "max_abs", "mse", "psnr_db", "rel_l2"):
                        self.assertEqual(layer[key], compared[name][key], f"{name} {key}")
                self.assertEqual(report["kept"]["tensors"], 2)

    def test_bits_count_all_tensors_of_a_layer(self):
        file = self.convert(self.source, "nvfp4")
        tensors = st.read(file).tensors
        layer = self.layers(self.eval(file))["b.weight"]
        stored = sum(len(tensor.data) for name, tensor in tensors.items() if name.startswith("b.") and name != "b.bias")
        self.assertEqual(layer["bytes"], stored)
        self.assertEqual(layer["bits_per_weight"], 8 * stored / (64 * 512))

    def test_what_is_not_measured_is_said(self):
        file = self.convert(self.source, "fp8")
        source = st.write(self.folder / "other.safetensors", {"a.weight": self.model["a.weight"], "more.weight": self.model["a.weight"],
                                                              "norm.weight": self.model["norm.weight"]})
        report = self.eval(file, source=source)
        self.assertEqual(sorted(self.layers(report)), ["a.weight"])
        notes = " ".join(report["notes"])
        self.assertIn("'b.weight' is not measured: the original has no such weight", notes)
        self.assertIn("1 tensor of the original is not there", notes)

    def test_layers_without_weights(self):
        model = self.model | {"empty.weight": st.Tensor("BF16", (0, 64), b""), "flat.weight": st.Tensor("BF16", (64, 0), b"")}
        source = st.write(self.folder / "empty.safetensors", model)
        report = self.eval(self.convert(source, "int8-row"), source=source)
        self.assertIn("a.weight", self.layers(report))

    def test_threads_change_nothing(self):
        file = self.convert(self.source, "w4a8")
        first, second = (self.check("eval", file, "--source", self.source, "--json", "--threads", n).stdout for n in (1, 4))
        self.assertEqual(first, second)

    def test_every_format_has_codes_for_every_weight(self):
        rng = np.random.default_rng(SEED)
        self.model = {"a.weight": models.floats(rng, (128, 256)), "b.weight": models.outliers(rng, (256, 512))}
        self.source = st.write(self.source, self.model)
        for fmt in (*reference.FORMATS, *reference_blocks.FORMATS):
            with self.subTest(fmt):
                layers = self.eval(self.convert(self.source, fmt), "--inputs", 2, "--advise", 0)["layers"]
                self.assertEqual(len(layers), 2)
                for layer in layers:
                    self.assertEqual(sum(layer["codes"]["counts"]), math.prod(layer["shape"]), layer["name"])
                    self.assertLess(layer["clipped"], 0.02 if fmt == "w4a8" else 1e-3)


class Histograms(EvalTest):
    def test_codes_of_a_byte(self):
        for fmt in ("fp8", "int8-row", "mxfp8"):
            with self.subTest(fmt):
                file = self.convert(self.source, fmt)
                tensors = st.read(file).tensors
                for name, layer in self.layers(self.eval(file)).items():
                    counts = np.bincount(np.frombuffer(tensors[name].data, np.uint8), minlength=256)
                    self.assertEqual(layer["codes"]["counts"], counts.tolist())
                    shares = counts[counts > 0] / counts.sum()
                    self.assertAlmostEqual(layer["codes"]["entropy_bits"], -np.sum(shares * np.log2(shares)), places=9)

    def test_codes_of_half_a_byte(self):
        file = self.convert(self.source, "nf4")
        tensors = st.read(file).tensors
        for name, layer in self.layers(self.eval(file)).items():
            packed = np.frombuffer(tensors[name].data, np.uint8)
            counts = np.bincount(packed >> 4, minlength=16) + np.bincount(packed & 15, minlength=16)
            self.assertEqual(layer["codes"]["counts"], counts.tolist())

    def test_scales_of_rows(self):
        file = self.convert(self.source, "int8-row")
        layer = self.layers(self.eval(file))["a.weight"]
        scales = np.frombuffer(st.read(file).tensors["a.weight_scale"].data, np.float32)
        bins = np.bincount((scales.view(np.uint32) >> 21) - (scales.min().view(np.uint32) >> 21))
        self.assertEqual(layer["scales"]["counts"], bins.tolist())
        self.assertLessEqual(layer["scales"]["from"], scales.min())

    def test_clipped_weights_are_counted(self):
        file = self.convert(self.source, "int8")
        scale = float(np.frombuffer(st.read(file).tensors["a.weight_scale"].data, np.float32)[0])
        values = reference.to_float32(self.model["a.weight"]).copy()
        values[3, :5] = np.float32(130 * scale)   # beyond 127.5 steps
        values[4, :7] = np.float32(-130 * scale)
        values[5, :9] = np.float32(127.2 * scale)  # within rounding
        other = self.model | {"a.weight": reference.from_float32(values, "F32")}
        source = st.write(self.folder / "larger.safetensors", other)
        layer = self.layers(self.eval(file, source=source))["a.weight"]
        # Codes of an INT8 layer may go to -128: then -130 is clipped and -128 is not.
        self.assertEqual(round(layer["clipped"] * values.size), 12)


class Outputs(EvalTest):
    def test_weights_only_is_the_product_of_what_was_written(self):
        rng = np.random.default_rng(SEED)
        x = {name: rng.standard_normal((3, 7, self.model[name + ".weight"].shape[1]), dtype=np.float32) for name in "ab"}
        inputs = st.write(self.folder / "x.safetensors", {f"{name}.input": reference.from_float32(x[name], "F32") for name in "ab"})
        for fmt in ("fp8-row", "int8-convrot", "nvfp4"):
            with self.subTest(fmt):
                file = self.convert(self.source, fmt)
                plain = self.folder / "plain.safetensors"
                self.check("dequantize", file, "-o", plain, "--dtype", "f32", "--force", "--quiet")
                restored = st.read(plain).tensors
                for name, layer in self.layers(self.eval(file, "--activations", inputs)).items():
                    rows = x[name[0]].reshape(21, -1).astype(np.float64)
                    bias = self.truth("b.bias") if name == "b.weight" else 0
                    expected = rows @ self.truth(name).T + bias
                    found = rows @ reference.to_float32(restored[name]).astype(np.float64).T + bias
                    error = math.sqrt(np.sum((found - expected) ** 2) / np.sum(expected**2))
                    self.assertEqual((layer["output"]["inputs"], layer["output"]["vectors"]), ("given", 21))
                    # The program multiplies in binary32: some 1e-6 of outputs whose errors are 1e-2.
                    self.assertTrue(math.isclose(layer["output"]["weights"]["rel_l2"], error, rel_tol=2e-3), (name, error))

    def test_inputs_are_quantized_where_the_loader_does_it(self):
        for fmt in ("fp8", "int8-row", "int8-convrot"):
            for layer in self.eval(self.convert(self.source, fmt))["layers"]:
                output = layer["output"]
                self.assertGreater(output["weights_and_inputs"]["rel_l2"], output["weights"]["rel_l2"], fmt)
        for layer in self.eval(self.convert(self.source, "nf4"))["layers"]:
            self.assertIsNone(layer["output"]["weights_and_inputs"])
            self.assertIn("nf4", layer["output"]["not_quantized_because"])

    def test_given_inputs_of_some_layers(self):
        inputs = st.write(self.folder / "x.safetensors", {"a.input": models.floats(np.random.default_rng(1), (4, 256))})
        report = self.eval(self.convert(self.source, "fp8"), "--activations", inputs)
        self.assertIsNone(self.layers(report)["b.weight"]["output"])
        self.assertIsNotNone(self.layers(report)["a.weight"]["output"])
        self.assertRegex(" ".join(report["notes"]), "1 of 2")

    def test_given_inputs_that_do_not_fit(self):
        file = self.convert(self.source, "fp8")
        cases = {"width": ({"a.input": models.floats(np.random.default_rng(1), (4, 255))}, BAD_INPUT, "a.input"),
                 "nan": ({"a.input": reference.from_float32(np.full((1, 256), np.nan, np.float32), "F32")}, BAD_INPUT, "NaN"),
                 "none": ({"c.input": models.floats(np.random.default_rng(1), (4, 256))}, USAGE, "a.input")}
        for name, (tensors, code, says) in cases.items():
            with self.subTest(name):
                inputs = st.write(self.folder / "x.safetensors", tensors)
                self.refuse("eval", file, "--source", self.source, "--activations", inputs, code=code, says=[says], one_sentence=True)

    def test_seeds_without_random_inputs_and_below_zero_are_refused(self):
        file = self.convert(self.source, "fp8")
        inputs = st.write(self.folder / "x.safetensors", {"a.input": models.floats(np.random.default_rng(1), (4, 256))})
        for options, says in ((("--activations", inputs, "--seed", 1), "--seed has no effect with --activations"),
                              (("--inputs", 0, "--seed", 1), "--seed has no effect with --inputs 0"),
                              (("--seed", -1), "--seed.*at least 0, not -1")):
            with self.subTest(options):
                self.refuse("eval", file, "--source", self.source, *options, code=USAGE, says=[says], one_sentence=True)

    def test_time_is_there_when_asked_for(self):
        file = self.convert(self.source, "fp8")
        for layer in self.eval(file, "--ops")["layers"]:
            self.assertGreater(layer["time"]["seconds"], 0)
            self.assertGreater(layer["time"]["bf16_seconds"], 0)
        self.assertNotIn("time", self.eval(file)["layers"][0])


class Advice(EvalTest):
    def test_is_for_the_worst_and_true(self):
        file = self.convert(self.source, "nvfp4")
        report = self.eval(file, "--advise", 1)
        advised = [layer for layer in report["layers"] if "advice" in layer]
        self.assertEqual([layer["sqnr_db"] for layer in advised], [min(layer["sqnr_db"] for layer in report["layers"])])
        name = advised[0]["name"]
        for tried in advised[0]["alternatives"]:
            options = ("--scales", "search") if tried["scales"] == "search" else ()
            other = self.convert(self.source, tried["format"], *options, output=self.folder / "other.safetensors")
            layer = self.layers(self.eval(other, "--advise", 0))[name]
            self.assertEqual(layer["bytes"], tried["bytes"], tried)
            self.assertEqual(layer["sqnr_db"], tried["sqnr_db"], tried)
        self.assertIn("nvfp4 search", [f"{tried['format']} {tried['scales']}" for tried in advised[0]["alternatives"]])

    def test_output_errors_decide_where_inputs_are_given(self):
        inputs = self.skewed_inputs()
        file = self.convert(self.source, "nvfp4")
        report = self.eval(file, "--activations", inputs, "--advise", 9)
        for layer in report["layers"]:
            for tried in layer["alternatives"]:
                options = ("--scales", "search") if tried["scales"] == "search" else ()
                other = self.convert(self.source, tried["format"], *options, output=self.folder / "other.safetensors")
                found = self.layers(self.eval(other, "--activations", inputs, "--advise", 0))[layer["name"]]
                # Products with the moments of the inputs are in binary32, and so are those of the layer.
                self.assertTrue(math.isclose(tried["output_rel_l2"], found["output"]["weights"]["rel_l2"], rel_tol=2e-3), tried)
            self.assertIn("dB of outputs", layer["advice"])

    def test_worst_layer_is_that_of_the_largest_output_error(self):
        # By their weights the layers are alike; the inputs of the first are large where its weights are 0 and exact.
        weight = reference.to_float32(self.model["a.weight"]).copy()
        weight[:, ::16] = 0
        source = st.write(self.source, self.model | {"a.weight": reference.from_float32(weight, "BF16")})
        x = np.random.default_rng(SEED).standard_normal((8, 256), dtype=np.float32)
        x[:, ::16] *= 1e3
        kind = np.random.default_rng(SEED).standard_normal((8, 512), dtype=np.float32)
        inputs = st.write(self.folder / "x.safetensors", {"a.input": reference.from_float32(x, "F32"),
                                                          "b.input": reference.from_float32(kind, "F32")})
        report = self.eval(self.convert(source, "int8-row"), "--activations", inputs, "--advise", 1, source=source)
        errors = {layer["name"]: layer["output"]["weights"]["rel_l2"] for layer in report["layers"]}
        [advised] = [layer["name"] for layer in report["layers"] if "advice" in layer]
        self.assertEqual(advised, max(errors, key=errors.get))

    def skewed_inputs(self):
        rng = np.random.default_rng(SEED)
        x = {name: rng.standard_normal((9, self.model[name + ".weight"].shape[1]), dtype=np.float32) for name in "ab"}
        for values in x.values():
            values *= 10 ** rng.uniform(-1, 1, values.shape[1]).astype(np.float32)
        return st.write(self.folder / "x.safetensors", {f"{name}.input": reference.from_float32(x[name], "F32") for name in "ab"})

    def statistics(self):
        rng = np.random.default_rng(SEED)
        self.second, tensors = {}, {}
        for name in "ab":
            columns = self.model[name + ".weight"].shape[1]
            mix = rng.standard_normal((columns // 8, columns)) * 10 ** rng.uniform(-1, 1, columns)
            self.second[name] = (mix.T @ mix / len(mix) + 0.01 * np.eye(columns)).astype(np.float32)
            tensors[f"{name}.second_moment"] = reference.from_float32(self.second[name], "F32")
        return st.write(self.folder / "stats.safetensors", tensors)

    def test_statistics_give_errors_of_outputs(self):
        stats = self.statistics()
        file = self.convert(self.source, "nvfp4")
        plain = self.folder / "plain.safetensors"
        self.check("dequantize", file, "-o", plain, "--dtype", "f32", "--force", "--quiet")
        restored = st.read(plain).tensors
        report = self.eval(file, "--stats", stats, "--inputs", 0)
        sums = np.zeros(2)
        for name, layer in self.layers(report).items():
            truth = self.truth(name)
            error = reference.to_float32(restored[name]).astype(np.float64) - truth
            moment = self.second[name[0]].astype(np.float64)
            parts = np.sum((error @ moment) * error), np.sum((truth @ moment) * truth)
            sums += parts
            self.assertTrue(math.isclose(layer["expected"]["rel_l2"], math.sqrt(parts[0] / parts[1]), rel_tol=1e-4))
        self.assertTrue(math.isclose(report["total"]["expected"]["rel_l2"], math.sqrt(sums[0] / sums[1]), rel_tol=1e-4))

    def test_learned_rounding_is_judged_by_outputs(self):
        stats = self.statistics()
        learned = self.convert(self.source, "nvfp4", "--rounding", "learned", "--stats", stats)
        alone = self.eval(learned, "--inputs", 0)
        for layer in alone["layers"]:
            self.assertIn("judge it with --stats or --activations", layer["advice"])
        for layer in self.eval(learned, "--inputs", 0, "--stats", stats)["layers"]:
            nearest = [tried for tried in layer["alternatives"] if (tried["format"], tried["scales"]) == ("nvfp4", "absmax")]
            self.assertLess(layer["expected"]["rel_l2"], nearest[0]["output_rel_l2"])
            self.assertGreater(nearest[0]["sqnr_db"], layer["sqnr_db"])
            self.assertNotIn("--rounding", layer["advice"])
        plain = self.convert(self.source, "nvfp4", output=self.folder / "plain.safetensors")
        for layer in self.eval(plain, "--inputs", 0, "--stats", stats)["layers"]:
            self.assertIn("try --rounding learned with --stats", layer["advice"])

    def test_searched_scales_are_tried_with_the_statistics(self):
        stats = self.statistics()
        for layer in self.eval(self.convert(self.source, "nf4"), "--inputs", 0, "--stats", stats)["layers"]:
            [tried] = [tried for tried in layer["alternatives"] if tried["scales"] == "search"]
            other = self.convert(self.source, "nf4", "--scales", "search", "--stats", stats, output=self.folder / "other.safetensors")
            found = self.layers(self.eval(other, "--inputs", 0, "--stats", stats, "--advise", 0))[layer["name"]]
            self.assertTrue(math.isclose(tried["output_rel_l2"], found["expected"]["rel_l2"], rel_tol=1e-9))

    def test_statistics_of_another_model(self):
        stats = st.write(self.folder / "stats.safetensors", {"z.diag": models.floats(np.random.default_rng(1), (256,), "F32")})
        self.refuse("eval", self.convert(self.source, "fp8"), "--source", self.source, "--stats", stats, code=BAD_INPUT,
                    says=["nothing of a layer that is measured", "a.second_moment", "a.diag"], one_sentence=True)

    def test_statistics_that_are_something_else(self):
        stats = st.write(self.folder / "stats.safetensors", dict(st.read(self.statistics()).tensors), {"format": "pt"})
        file = self.convert(self.source, "fp8")
        for command in (("eval", file, "--source", self.source), ("allocate", self.source, "--formats", "fp8", "--target-size", "1GB")):
            self.refuse(*command, "--stats", stats, code=BAD_INPUT, says=['"format": "halftone-statistics", not "pt"'], one_sentence=True)

    def test_statistics_that_do_not_say_what_they_are(self):
        stats = self.statistics()
        self.assertEqual(sum("taken for statistics" in note for note in self.eval(self.convert(self.source, "fp8"), "--stats", stats)["notes"]), 1)

    def test_same_file_is_a_usage_error(self):
        self.refuse("eval", self.source, "--source", self.source, code=USAGE, says=["no layer"])

    def test_another_model_is_a_usage_error(self):
        other = st.write(self.folder / "another.safetensors", {"z.weight": self.model["a.weight"]})
        self.refuse("eval", self.convert(self.source, "fp8"), "--source", other, code=USAGE, says=["no tensor of .* has the name"])


class Identical(EvalTest):
    def test_quantized_layers_of_both_files(self):
        file = self.convert(self.source, "fp8")
        result = self.check("eval", file, "--source", file)
        rows = [line for line in result.stdout.splitlines() if line.endswith(".weight")]
        self.assertEqual(len(rows), 2)
        for row in rows:
            self.assertIn("identical", row)
            self.assertNotIn("inf", row)
        self.assertIn("2 layers are identical", result.stdout)
        report = self.eval(file, source=file)
        self.assertEqual([(layer["identical"], layer["output"]) for layer in report["layers"]], [(True, None)] * 2)
        self.assertEqual(report["identical"], 2)

    def test_totals_are_of_the_others(self):
        first = self.convert(self.source, "fp8", "--include", "^a", output=self.folder / "first.safetensors")
        second = self.convert(first, "nvfp4", "--include", "^b", output=self.folder / "second.safetensors")
        report = self.eval(second, source=first)
        self.assertEqual([layer["identical"] for layer in report["layers"]], [True, False])
        for key in ("sqnr_db", "mse", "rel_l2", "bits_per_weight", "clipped"):
            self.assertEqual(report["total"][key], report["layers"][1][key], key)
        self.assertNotIn("advice", report["layers"][0])

    def test_all_files_of_a_comparison(self):
        file = self.convert(self.source, "fp8")
        result = self.check("compare", file, file, file)
        self.assertRegex(result.stdout.splitlines()[-1], "identical +identical +every tensor")
        page = self.folder / "same.html"
        self.check("compare", file, file, file, "--html", page)
        self.assertIn("Every tensor of the original is identical in every file", page.read_text())
        result = self.check("compare", self.source, self.source, file, code=1)
        self.assertRegex(result.stdout.splitlines()[-1], "identical +[0-9.]+ total +all of these together")


class OddValues(EvalTest):
    def test_zeros_are_exact(self):
        zeros = reference.from_float32(np.zeros((64, 256), np.float32), "BF16")
        source = st.write(self.source, self.model | {"zero.weight": zeros})
        file = self.convert(source, "nvfp4")
        result = self.check("eval", file, "--source", source)
        [row] = [line for line in result.stdout.splitlines() if line.endswith(" zero.weight")]
        self.assertEqual(row.split()[:2], ["exact", "exact"])
        self.assertNotRegex(result.stdout, r"\b(inf|nan)\b")
        self.assertNotRegex(self.check("compare", source, file, code=1).stdout, r"\b(inf|nan)\b")
        rules = self.folder / "rules.json"
        text = self.check("allocate", source, "--formats", "nvfp4", "--preset", "none", "--min-sqnr", 3, "-o", rules).stdout
        self.assertNotRegex(text + rules.read_text(), r"\b(inf|nan)\b")

    def test_something_made_of_zeros_has_no_figure(self):
        # The original's weights are 0 and the file's are not.
        file = self.convert(self.source, "fp8")
        zeros = reference.from_float32(np.zeros((96, 256), np.float32), "BF16")
        source = st.write(self.folder / "zeros.safetensors", self.model | {"a.weight": zeros})
        result = self.check("eval", file, "--source", source)
        [row] = [line for line in result.stdout.splitlines() if line.endswith(" a.weight")]
        self.assertEqual(row.split()[0], "-")
        self.assertNotRegex(result.stdout, r"\b-?(inf|nan)\b")

    def test_quantized_original_is_no_infinite_advice(self):
        first = self.convert(self.source, "fp8", output=self.folder / "first.safetensors")
        second = self.convert(first, "nvfp4", output=self.folder / "second.safetensors")
        result = self.check("eval", second, "--source", first)
        self.assertIn("fp8 for it: no error in", result.stdout)
        self.assertNotRegex(result.stdout, r"\binf\b")

    def test_broken_scales_are_named(self):
        file = self.convert(self.source, "fp8-row")
        tensors = st.read(file).tensors
        scales = np.frombuffer(tensors["a.weight_scale"].data, np.float32).copy()
        scales[3], scales[5] = np.nan, np.inf
        tensors["a.weight_scale"] = st.Tensor("F32", tensors["a.weight_scale"].shape, scales.tobytes())
        st.write(file, tensors)
        result = self.check("eval", file, "--source", self.source)
        self.assertIn("'a.weight' is not known: 2 of its scales are NaN or infinite", result.stdout)
        self.assertIn("the totals are not known", result.stdout)
        self.assertIn("advice  a.weight: Convert it anew", result.stdout)
        self.assertNotRegex(result.stdout, r"\bnan\b")
        layers = self.layers(self.eval(file))
        self.assertEqual(layers["a.weight"]["scales"]["not_finite"], 2)
        self.assertIsNotNone(layers["b.weight"]["sqnr_db"])

    def test_broken_original_is_named(self):
        file = self.convert(self.source, "fp8")
        values = reference.to_float32(self.model["a.weight"]).copy()
        values[0, 0] = np.nan
        source = st.write(self.folder / "broken.safetensors", self.model | {"a.weight": reference.from_float32(values, "BF16")})
        result = self.check("eval", file, "--source", source)
        self.assertIn("'a.weight' is not known: it holds NaN or infinity in the original", result.stdout)


class Page(EvalTest):
    HOSTILE = "x<script>alert(1)</script>\"'&\u202e\x1b.weight"

    def page(self, *words):
        path = self.folder / "report.html"
        self.check(*words, "--html", path, "--force", code=(0, 1))
        return path.read_text(encoding="utf-8")

    def check_page(self, text):
        parser = Balanced()
        parser.feed(text)
        parser.close()
        self.assertEqual(parser.open, [])
        self.assertNotIn("script", parser.seen)
        self.assertNotRegex(text, r"https?:|src=|url\(|@import|<link|<a ")
        self.assertNotIn("\u202e", text)
        self.assertNotIn("\x1b", text)
        return parser

    def test_hostile_names_stay_text(self):
        model = self.model | {self.HOSTILE: models.floats(np.random.default_rng(1), (32, 256))}
        source = st.write(self.folder / "hostile.safetensors", model)
        file = self.convert(source, "nvfp4")
        for words in (("eval", file, "--source", source), ("compare", source, file, source)):
            parser = self.check_page(self.page(*words))
            self.assertIn("x<script>alert(1)</script>\"'&\\u202e", "".join(parser.text))

    def test_worst_layer_is_first(self):
        file = self.convert(self.source, "nvfp4")
        text = self.page("eval", file, "--source", self.source).replace("<wbr>", "")
        table = text[text.index("Every layer"):]
        layers = sorted(self.eval(file)["layers"], key=lambda layer: layer["sqnr_db"])
        places = [table.index(layer["name"]) for layer in layers]
        self.assertEqual(places, sorted(places))

    def test_existing_page_is_kept(self):
        file = self.convert(self.source, "fp8")
        path = self.folder / "report.html"
        path.write_text("mine")
        self.refuse("eval", file, "--source", self.source, "--html", path, code=USAGE, says=["exists"])
        self.assertEqual(path.read_text(), "mine")
        self.refuse("eval", file, "--source", self.source, "--html", self.source, "--force", code=USAGE)
        self.assertTrue(st.is_loadable(self.source))


class SideBySide(EvalTest):
    def test_one_table_of_several_files(self):
        first = self.convert(self.source, "fp8", output=self.folder / "first.safetensors")
        second = self.convert(self.source, "nvfp4", "--include", "^a", output=self.folder / "second.safetensors")
        third = self.folder / "third.safetensors"
        self.check("dequantize", first, "-o", third, "--dtype", "f16", "--quiet")
        result = self.check("compare", self.source, first, second, third, code=1)
        lines = [line for line in result.stdout.splitlines() if line.endswith(" a.weight")]
        self.assertEqual(len(lines), 1, result.stdout)
        self.assertEqual(re.findall(r"fp8|nvfp4|F16", lines[0]), ["fp8", "nvfp4", "F16"])
        [b] = [line for line in result.stdout.splitlines() if line.endswith(" b.weight")]
        self.assertEqual(b.split()[2], "=", b)
        report = self.check("compare", self.source, first, second, third, "--json", code=1).json
        self.assertEqual(len(report["files"]), 3)
        for entry, file in zip(report["files"], (first, second, third)):
            alone = run("compare", self.source, file, "--json").json
            self.assertEqual(entry["layers"], alone["layers"])


if __name__ == "__main__":
    unittest.main()
