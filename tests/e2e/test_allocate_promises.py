"""allocate promises a size and errors: random small models against every choice of formats, and against what convert writes."""
import itertools
import json
import math
import re
import shlex
import unittest

import numpy as np

import models
import reference
import safetensors_file as st
from program import SEED, UNSUPPORTED, USAGE, ProgramTest
from test_scale_search import AT_MOST as SEARCHED

# Errors that the test adds up in another order than the program, and promises that are sums, agree to this part.
SUM_ORDER = 1e-9
# Products with second moments are in binary32 in the program and in binary64 here.
MOMENTS = 1e-4
# The size of a header is estimated while choosing among layers, and it grows in steps of 8.
HEADER_STEP = 8


def values(tensor):
    return reference.to_float32(tensor).astype(np.float64)


class Promises(ProgramTest):
    """A model, a set of formats, and what each format does to each layer by convert and dequantize."""

    formats = ("nvfp4", "fp8", "keep")
    scales = ()
    stats = None

    def make(self, rng, shapes):
        self.model = {f"layer{i}.weight": models.floats(rng, shape, spread=float(0.02 * 4 ** rng.uniform(-1, 1)))
                      for i, shape in enumerate(shapes)}
        self.model["norm.weight"] = models.floats(rng, (7,))
        self.source = st.write(self.folder / "in.safetensors", self.model)
        self.names = sorted(name for name in self.model if len(self.model[name].shape) == 2)
        self.rules = self.folder / "rules.json"
        self.truth = {name: values(self.model[name]) for name in self.names}

    def make_statistics(self, rng):
        """Second moments of some layers, the diagonal of others, and nothing of the last; returns what allocate takes each for."""
        tensors, self.moments, means = {}, {}, []
        for i, name in enumerate(self.names[:-1]):
            columns = self.truth[name].shape[1]
            x = rng.standard_normal((2 * columns, columns)) * rng.uniform(0.2, 3, columns)
            moment = (x.T @ x / len(x)).astype(np.float32)
            if i % 2:
                moment = np.diag(np.diag(moment)).copy()
                tensors[name.replace("weight", "diag")] = reference.from_float32(np.diag(moment).copy(), "F32")
            else:
                tensors[name.replace("weight", "second_moment")] = reference.from_float32(moment, "F32")
            self.moments[name] = moment.astype(np.float64)
            means.append(np.trace(self.moments[name]) / columns)
        self.moments[self.names[-1]] = np.eye(self.truth[self.names[-1]].shape[1]) * np.mean(means)
        self.stats = st.write(self.folder / "stats.safetensors", tensors)

    def options(self):
        return ("--formats", ",".join(self.formats), "--preset", "none", "-o", self.rules, "--force", *self.scales,
                *(("--stats", self.stats) if self.stats else ()))

    def allocate(self, *options, code=0):
        result = self.check("allocate", self.source, "--json", *self.options(), *options, code=code)
        return result.json if code == 0 else result

    def energy(self, name, error):
        """Σ error², or what it makes of outputs where there are statistics."""
        return np.sum((error @ self.moments[name]) * error) if self.stats else np.sum(error**2)

    def restored(self, file):
        plain = self.folder / "plain.safetensors"
        self.check("dequantize", file, "-o", plain, "--dtype", "f32", "--force", "--quiet")
        return {name: values(tensor) for name, tensor in st.read(plain).tensors.items() if name in self.names}

    def measure(self):
        """The noise of each layer in each format, as convert writes it, and the signal of each layer."""
        self.noise = {(name, "keep"): 0.0 for name in self.names}
        for fmt in self.formats:
            if fmt == "keep":
                continue
            can_search = self.scales and fmt in SEARCHED
            options = (*self.scales, *(("--stats", self.stats) if self.stats else ())) if can_search else ()
            found = self.restored(self.convert(self.source, fmt, *options, output=self.folder / "one.safetensors"))
            for name in self.names:
                self.noise[name, fmt] = self.energy(name, found[name] - self.truth[name])
        self.signal = {name: self.energy(name, self.truth[name]) for name in self.names}

    def every_choice(self):
        """(size, noise, signal of what is quantized) of every choice; sizes by plan."""
        brute = self.folder / "brute.json"
        for choice in itertools.product(self.formats, repeat=len(self.names)):
            rules = [{"match": {"glob": name}, **({"action": "keep"} if fmt == "keep" else {"action": "quantize", "format": fmt})}
                     for name, fmt in zip(self.names, choice)]
            brute.write_text(json.dumps({"rules": rules}))
            plan = self.check("plan", self.source, "--format", self.formats[0], "--preset", "none", "--rules", brute, "--json").json
            yield (plan["output"]["bytes"], sum(self.noise[pair] for pair in zip(self.names, choice)),
                   sum(self.signal[name] for name, fmt in zip(self.names, choice) if fmt != "keep"))

    def carry_out(self, report):
        """Runs the conversion that is printed, and holds its output to what was promised."""
        output = self.folder / "out.safetensors"
        words = shlex.split(report["convert"])
        self.assertEqual(words[0], "halftone")
        self.check(*words[1:], "-o", output, "--force", "--quiet")
        self.assertEqual(output.stat().st_size, report["output"]["bytes"])
        chosen = {layer["name"]: layer["format"] for layer in report["layers"]}
        quantized = [name for name in self.names if chosen[name] != "keep"]
        if not quantized:
            return output
        compared = self.check("compare", self.source, output, "--json", code=1).json
        self.assertEqual([layer["name"] for layer in compared["layers"]], quantized)
        self.assertTrue(math.isclose(compared["total"]["mse"], report["total"]["mse"], rel_tol=SUM_ORDER))
        for layer in compared["layers"]:
            self.assertEqual(layer["stored"], chosen[layer["name"]])
        found = self.restored(output)
        noise = sum(self.energy(name, found[name] - self.truth[name]) for name in quantized)
        error = math.sqrt(noise / sum(self.signal[name] for name in quantized))
        self.assertTrue(math.isclose(error, report["output_rel_l2"], rel_tol=MOMENTS if self.stats else SUM_ORDER))
        return output

    def check_sizes(self, table):
        sizes = sorted({size for size, _, _ in table})
        for target in {sizes[0], sizes[len(sizes) // 3] + 1, sizes[2 * len(sizes) // 3], sizes[-1]}:
            with self.subTest(target_size=target):
                report = self.allocate("--target-size", target)
                best = min(noise for size, noise, _ in table if size <= target)
                chosen = sum(self.noise[layer["name"], layer["format"]] for layer in report["layers"])
                self.assertTrue(report["best"])
                self.assertTrue(math.isclose(chosen, best, rel_tol=MOMENTS, abs_tol=1e-12), (chosen, best))
                self.assertLessEqual(self.carry_out(report).stat().st_size, target)
        refused = self.allocate("--target-size", sizes[0] - 1, code=UNSUPPORTED)
        self.assertIn(f"smallest output has {sizes[0]} bytes", refused.stderr)

    def check_errors(self, table, option, argument, limits):
        """`argument` makes of a relative error what the option takes."""
        for limit in limits:
            with self.subTest(**{option.strip("-"): argument(limit)}):
                report = self.allocate(option, argument(limit))
                best = min(size for size, noise, signal in table if noise <= limit**2 * signal)
                self.assertTrue(report["best"])
                self.assertLessEqual(abs(report["output"]["bytes"] - best), HEADER_STEP)
                self.assertLessEqual(report["output_rel_l2"], limit * (1 + SUM_ORDER))
                self.carry_out(report)
        least = min(math.sqrt(noise / signal) for _, noise, signal in table if signal)
        if "keep" in self.formats:
            report = self.allocate(option, argument(least * 0.5))
            self.assertEqual({layer["format"] for layer in report["layers"]}, {"keep"})
            self.carry_out(report)
        else:
            refused = self.allocate(option, argument(least * 0.99), code=UNSUPPORTED)
            said = float(re.search(r"the best has ([-+.e\d]+)", refused.stderr)[1])
            self.assertTrue(math.isclose(said, argument(least), rel_tol=1e-3), (refused.stderr, argument(least)))

    def check_all_goals(self):
        self.measure()
        table = list(self.every_choice())
        errors = sorted(math.sqrt(noise / signal) for _, noise, signal in table if signal)
        # Between errors that occur: sums of another order must not decide.
        between = [math.sqrt(a * b) for a, b in zip(errors, errors[1:]) if b > a * (1 + 10 * MOMENTS)]
        limits = [between[0], between[len(between) // 2], errors[-1] * 1.5]
        self.check_sizes(table)
        self.check_errors(table, "--max-output-error", lambda error: error, limits)
        self.check_errors(table, "--min-sqnr", lambda error: -20 * math.log10(error), limits)


class EveryChoice(Promises):
    def test_random_models(self):
        rng = np.random.default_rng(SEED)
        pool = ("nvfp4", "fp8", "int8-row", "mxfp8", "nf4", "fp8-block")
        for case in range(4):
            with self.subTest(seed=SEED, case=case):
                self.formats = (*rng.choice(pool, 2, replace=False).tolist(), *(("keep",) if case % 2 else ()))
                self.make(rng, [(64 * int(rng.integers(1, 4)), 64 * int(rng.integers(1, 4))) for _ in range(4)])
                self.check_all_goals()

    def test_with_statistics(self):
        rng = np.random.default_rng(SEED)
        self.make(rng, [(64, 64), (32, 128), (128, 64)])
        self.make_statistics(rng)
        self.check_all_goals()

    def test_with_searched_scales(self):
        rng = np.random.default_rng(SEED)
        self.scales = ("--scales", "search")
        self.formats = ("nvfp4", "int8", "fp8-row", "fp8-cast")
        self.make(rng, [(64, 64), (32, 128), (128, 64)])
        self.check_all_goals()

    def test_with_scales_searched_by_statistics(self):
        rng = np.random.default_rng(SEED)
        self.scales = ("--scales", "search")
        self.formats = ("nvfp4", "w4a4-convrot", "nf4")
        self.make(rng, [(64, 256), (32, 512), (96, 256)])
        self.make_statistics(rng)
        self.check_all_goals()


class Scales(Promises):
    def setUp(self):
        super().setUp()
        self.make(np.random.default_rng(SEED), [(64, 64), (32, 128)])

    def test_search_that_gains_nothing_is_left_out_of_the_conversion(self):
        self.scales = ("--scales", "search")
        self.formats = ("fp8-cast", "nvfp4")
        self.measure()
        report = self.allocate("--max-output-error", 0.04)
        self.assertEqual(report["scales"], "absmax")
        self.carry_out(report)
        self.formats = ("fp8-cast",)
        refused = self.allocate("--min-sqnr", 3, code=USAGE)
        self.assertIn("--scales search", refused.stderr)

    def test_assumption_is_said(self):
        text = self.check("allocate", self.source, *self.options(), "--min-sqnr", 10).stdout
        self.assertIn("each weight rounded to nearest, with plain scales", text)
        text = self.check("allocate", self.source, *self.options(), "--min-sqnr", 10, "--scales", "search").stdout
        self.assertIn("each weight rounded to nearest, with --scales search", text)

    def test_fitted_scales_have_no_search_by_statistics(self):
        self.make_statistics(np.random.default_rng(SEED))
        self.formats, self.scales = ("w4a8", "nvfp4"), ("--scales", "search")
        self.assertIn("w4a8", self.allocate("--min-sqnr", 3, code=UNSUPPORTED).stderr)


class SecondGeneration(Promises):
    """The input is quantized already."""

    def setUp(self):
        super().setUp()
        self.make(np.random.default_rng(SEED), [(64, 64), (32, 128), (96, 64)])
        # The last layer stays plain.
        self.source = self.convert(self.source, "fp8", "--exclude", "layer2", output=self.folder / "first.safetensors")
        self.truth = self.restored(self.source)

    def formats_of(self, report):
        return [layer["format"] for layer in report["layers"]]

    def carry_out(self, report):
        output = self.folder / "out.safetensors"
        self.check(*shlex.split(report["convert"])[1:], "-o", output, "--force", "--quiet")
        self.assertEqual(output.stat().st_size, report["output"]["bytes"])
        return output

    def test_a_layer_may_stay_as_it_is_stored(self):
        self.formats = ("int8-block", "fp8")
        report = self.allocate("--min-sqnr", 25)
        self.assertEqual(self.formats_of(report), ["fp8"] * 3)
        stays = [[candidate["unchanged"] for candidate in layer["candidates"] if candidate["format"] == "fp8"] for layer in report["layers"]]
        self.assertEqual(stays, [[True], [True], [False]])
        self.assertIn("2 layers stay as stored", " ".join(report["notes"]))
        output = self.carry_out(report)
        self.assertLess(output.stat().st_size, self.source.stat().st_size)
        before, after = st.read(self.source).tensors, st.read(output).tensors
        for name in ("layer0.weight", "layer0.weight_scale", "layer0.comfy_quant"):
            self.assertEqual(after[name].data, before[name].data, name)

    def test_stored_layers_are_in_the_smallest_size(self):
        self.formats = ("int8-block", "fp8")  # block scales take more room than one scale
        whole = self.convert(self.source, "fp8", output=self.folder / "whole.safetensors").stat().st_size
        self.assertEqual(self.carry_out(self.allocate("--target-size", whole)).stat().st_size, whole)
        self.assertIn(f"{whole} bytes", self.allocate("--target-size", whole - 1, code=UNSUPPORTED).stderr)

    def test_keep_counts_scales_and_labels(self):
        self.formats = ("nvfp4", "keep")
        for layer in self.allocate("--min-sqnr", 60)["layers"]:
            tensors = st.read(self.source).tensors
            stem = layer["name"].removesuffix("weight")
            own = sum(len(tensor.data) for name, tensor in tensors.items() if name.startswith(stem))
            self.assertEqual(layer["candidates"][-1]["bytes"], own)
        self.carry_out(self.allocate("--min-sqnr", 60))

    def test_new_formats_are_said_to_be_a_second_generation(self):
        self.formats = ("nvfp4",)
        report = self.allocate("--min-sqnr", 10)
        self.assertIn("second generation: 2 layers were quantized already", " ".join(report["notes"]))
        text = self.check("allocate", self.source, *self.options(), "--min-sqnr", 10).stdout
        self.assertRegex(text, "note +second generation")
        self.carry_out(report)

    def test_only_the_stored_format(self):
        self.formats = ("fp8",)
        report = self.allocate("--min-sqnr", 10)
        self.assertIn("2 layers stay as stored", " ".join(report["notes"]))
        self.carry_out(report)


if __name__ == "__main__":
    unittest.main()
