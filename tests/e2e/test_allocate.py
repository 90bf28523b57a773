"""allocate: against brute force over every choice of formats."""
import itertools
import json
import math
import unittest

import numpy as np

import models
import reference
import safetensors_file as st
from program import SEED, UNSUPPORTED, USAGE, ProgramTest

FORMATS = ("nvfp4", "fp8", "keep")


class Allocate(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        shapes = {"a": (64, 64), "b.long.name": (32, 256), "c": (128, 48), "d*.x": (96, 64), "e": (48, 32)}
        self.model = {name + ".weight": models.floats(rng, shape, spread=0.02 * 2**i) for i, (name, shape) in enumerate(shapes.items())}
        self.model |= {"a.bias": models.floats(rng, (64,)), "norm.weight": models.floats(rng, (7,))}
        self.source = st.write(self.folder / "in.safetensors", self.model)
        self.weights = sorted(name for name in self.model if len(self.model[name].shape) == 2)
        self.rules = self.folder / "rules.json"

    def allocate(self, *options, formats=FORMATS, code=0):
        result = self.check("allocate", self.source, "--formats", ",".join(formats), "--preset", "none", "-o", self.rules, "--force",
                            "--json", *options, code=code)
        return result.json if code == 0 else result

    def noise_and_signal(self, formats=FORMATS):
        """Σ(b - a)² of each layer in each format, and Σa² of each layer."""
        noise, signal = {}, {}
        for fmt in formats:
            if fmt == "keep":
                noise |= {(name, fmt): 0.0 for name in self.weights}
                continue
            plain = self.folder / "plain.safetensors"
            self.check("dequantize", self.convert(self.source, fmt), "-o", plain, "--dtype", "f32", "--force", "--quiet")
            restored = st.read(plain).tensors
            for name in self.weights:
                truth = reference.to_float32(self.model[name]).astype(np.float64)
                signal[name] = np.sum(truth**2)
                noise[name, fmt] = np.sum((reference.to_float32(restored[name]).astype(np.float64) - truth) ** 2)
        return noise, signal

    def choices(self):
        """Every choice of formats with the exact size of its output, by plan."""
        rules = self.folder / "brute.json"
        for choice in itertools.product(FORMATS, repeat=len(self.weights)):
            entries = []
            for name, fmt in zip(self.weights, choice):
                action = {"action": "keep"} if fmt == "keep" else {"action": "quantize", "format": fmt}
                entries.append({"match": {"regex": "^" + name.replace(".", "\\.").replace("*", "\\*") + "$"}, **action})
            rules.write_text(json.dumps({"rules": entries}))
            report = self.check("plan", self.source, "--format", "nvfp4", "--preset", "none", "--rules", rules, "--json").json
            yield choice, report["output"]["bytes"]

    def convert_with_rules(self):
        output = self.folder / "out.safetensors"
        self.check("convert", self.source, "--format", "nvfp4", "--preset", "none", "--rules", self.rules, "-o", output, "--force", "--quiet")
        return output

    def test_is_the_best_of_all_choices(self):
        noise, signal = self.noise_and_signal()
        table = []
        for choice, size in self.choices():
            total = sum(noise[pair] for pair in zip(self.weights, choice))
            quantized = sum(signal[name] for name, fmt in zip(self.weights, choice) if fmt != "keep")
            table.append((size, total, quantized))
        sizes = sorted(size for size, _, _ in table)
        for target in {sizes[0], sizes[len(sizes) // 5], sizes[len(sizes) // 2] + 3, sizes[-20], sizes[-1]}:
            with self.subTest(target_size=target):
                report = self.allocate("--target-size", target)
                best = min(total for size, total, _ in table if size <= target)
                chosen = sum(noise[layer["name"], layer["format"]] for layer in report["layers"])
                self.assertTrue(report["best"])
                self.assertTrue(math.isclose(chosen, best, rel_tol=1e-6), (chosen, best))
                written = self.convert_with_rules().stat().st_size
                self.assertEqual(written, report["output"]["bytes"])
                self.assertLessEqual(written, target)
        for decibels in (20.5, 24, 30, 40):
            with self.subTest(min_sqnr=decibels):
                report = self.allocate("--min-sqnr", decibels)
                limit = 10 ** (-decibels / 10)
                best = min(size for size, total, quantized in table if total <= limit * quantized)
                self.assertLessEqual(report["output"]["bytes"], best + 8)  # what the header's entries are estimated to
                compared = self.check("compare", self.source, self.convert_with_rules(), "--json", code=(0, 1)).json
                total = compared["total"]["sqnr_db"]
                self.assertTrue(total is None or total >= decibels, total)

    def test_a_layer_that_would_not_become_smaller_stays(self):
        tiny = models.floats(np.random.default_rng(SEED), (2, 2))
        st.write(self.source, self.model | {"tiny.weight": tiny})
        report = self.allocate("--max-output-error", 0.05, "--balance", "layers")
        self.assertNotIn("tiny.weight", [layer["name"] for layer in report["layers"]])
        rules = json.loads(self.rules.read_text())["rules"]
        self.assertEqual([rule["action"] for rule in rules if "tiny" in str(rule["match"])], ["keep"])
        self.assertLessEqual(report["goal"]["reached"], 0.05)
        chosen = {layer["name"]: next(c for c in layer["candidates"] if c["format"] == layer["format"]) for layer in report["layers"]}
        parts = [c["noise"] / c["signal"] for c in chosen.values() if not c["unchanged"]]
        self.assertTrue(math.isclose(report["goal"]["reached"], math.sqrt(sum(parts) / len(parts)), rel_tol=1e-9))

    def test_errors_are_those_of_the_formats(self):
        noise, signal = self.noise_and_signal()
        for layer in self.allocate("--min-sqnr", 10)["layers"]:
            for candidate in layer["candidates"]:
                self.assertTrue(math.isclose(candidate["noise"], noise[layer["name"], candidate["format"]], rel_tol=1e-9))
                self.assertTrue(math.isclose(candidate["signal"], signal[layer["name"]], rel_tol=1e-9))

    def test_statistics_weigh_errors(self):
        rng = np.random.default_rng(SEED)
        second = {}
        for name in self.weights:
            columns = self.model[name].shape[1]
            x = rng.standard_normal((4 * columns, columns)) * (30 if name == "a.weight" else 1)
            second[name] = (x.T @ x / len(x)).astype(np.float32)
        stats = {name.removesuffix("weight") + "second_moment": reference.from_float32(value, "F32") for name, value in second.items()}
        stats["e.diag"] = reference.from_float32(np.diag(second["e.weight"]).copy(), "F32")
        del stats["e.second_moment"]
        path = st.write(self.folder / "stats.safetensors", stats)
        report = self.allocate("--max-output-error", 0.05, "--stats", path)
        plain = self.folder / "plain.safetensors"
        self.check("dequantize", self.convert(self.source, "nvfp4"), "-o", plain, "--dtype", "f32", "--force", "--quiet")
        restored = st.read(plain).tensors
        for layer in report["layers"]:
            name = layer["name"]
            truth = reference.to_float32(self.model[name]).astype(np.float64)
            error = reference.to_float32(restored[name]).astype(np.float64) - truth
            moment = second[name].astype(np.float64)
            if name == "e.weight":
                moment = np.diag(np.diag(moment))
            expected = math.sqrt(np.sum((error @ moment) * error) / np.sum((truth @ moment) * truth))
            # Products with second moments are in binary32.
            self.assertTrue(math.isclose(layer["candidates"][0]["output_rel_l2"], expected, rel_tol=1e-4), (name, expected))
        self.assertLessEqual(report["output_rel_l2"], 0.05)
        # The inputs of this layer are 900 times as large: it decides.
        self.assertNotEqual({layer["name"]: layer["format"] for layer in report["layers"]}["a.weight"], "nvfp4")

    def test_formats_that_do_not_hold_a_layer_are_no_choice(self):
        rng = np.random.default_rng(SEED)
        large = models.floats(rng, (64, 256), "F32", spread=1e37)  # beyond 2^120, which bounds w4a8
        self.model = {"large.weight": large, "small.weight": models.floats(rng, (64, 256), "F32")}
        self.source = st.write(self.source, self.model)
        report = self.allocate("--min-sqnr", 3, formats=("w4a8", "nvfp4", "fp8"))
        layers = {layer["name"]: [candidate["format"] for candidate in layer["candidates"]] for layer in report["layers"]}
        self.assertEqual(layers, {"large.weight": ["nvfp4", "fp8"], "small.weight": ["w4a8", "nvfp4", "fp8"]})
        self.assertIn("w4a8 is no choice for 'large.weight', whose values it does not hold", report["notes"])
        self.assertEqual(self.convert_with_rules().stat().st_size, report["output"]["bytes"])
        # Where nothing holds it, it is kept.
        report = self.allocate("--min-sqnr", 3, formats=("w4a8", "fp8-cast"))
        self.assertEqual([layer["name"] for layer in report["layers"]], ["small.weight"])
        self.convert_with_rules()
        self.assertEqual(st.read(self.folder / "out.safetensors").tensors["large.weight"], large)

    def test_one_goal(self):
        for options, says in (([], "is needed"), (["--target-size", "1GB", "--min-sqnr", 3], "exclude each other")):
            self.assertIn(says, self.allocate(*options, code=USAGE).stderr)

    def test_threads_change_nothing(self):
        texts = []
        for threads in (1, 4):
            self.allocate("--min-sqnr", 25, "--threads", threads)
            texts.append(self.rules.read_text())
        self.assertEqual(*texts)

    def test_layers_without_weights(self):
        self.source = st.write(self.source, self.model | {"empty.weight": st.Tensor("BF16", (0, 64), b""),
                                                          "flat.weight": st.Tensor("BF16", (64, 0), b"")})
        report = self.allocate("--min-sqnr", 25)
        self.assertEqual(self.convert_with_rules().stat().st_size, report["output"]["bytes"])

    def test_what_no_choice_reaches(self):
        result = self.allocate("--target-size", 5000, code=UNSUPPORTED)
        self.assertRegex(result.stderr, "smallest output has [0-9]+ bytes")
        result = self.allocate("--min-sqnr", 60, formats=("nvfp4", "fp8"), code=UNSUPPORTED)
        self.assertRegex(result.stderr, "keep")
        self.assertFalse(self.rules.exists())

    def test_usage(self):
        for options in ((), ("--target-size", "1MB", "--min-sqnr", 3), ("--target-size", "x"), ("--min-sqnr", "nan")):
            self.refuse("allocate", self.source, "--formats", "fp8", *options, code=USAGE)
        self.refuse("allocate", self.source, "--formats", "fp9", "--min-sqnr", 3, code=USAGE, says=["did you mean"])
        self.refuse("allocate", self.source, "--formats", "fp8,fp8", "--min-sqnr", 3, code=USAGE, says=["twice"])
        self.rules.write_text("mine")
        self.refuse("allocate", self.source, "--formats", "fp8", "--min-sqnr", 3, "-o", self.rules, code=USAGE, says=["exists"])
        self.assertEqual(self.rules.read_text(), "mine")

    def test_layers_that_a_format_does_not_take(self):
        report = self.allocate("--min-sqnr", 10, formats=("fp8-block", "int8-convrot"))
        named = {layer["name"] for layer in report["layers"]}
        self.assertIn("a.weight", named)
        self.assertNotIn("e.weight", named)  # 48 × 32: neither blocks of 64 nor rotations of 256
        output = self.folder / "out.safetensors"
        self.check("convert", self.source, "--format", "fp8-block", "--preset", "none", "--rules", self.rules, "-o", output, "--quiet")
        self.assertEqual(output.stat().st_size, report["output"]["bytes"])


if __name__ == "__main__":
    unittest.main()
