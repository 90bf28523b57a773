"""Learned rounding and statistics: what the report says against what the written file holds."""
import json
import re
import unittest

import numpy as np

import reference
import safetensors_file as st
from program import BAD_INPUT, DIFFERENT, SEED, UNSUPPORTED, USAGE, ProgramTest, sha256

ROWS, COLUMNS, VECTORS = 96, 256, 4096
FORMATS = ("fp8", "fp8-row", "int8-row", "int8-convrot", "nvfp4", "mxfp8", "nf4", "w4a4-convrot")


def stored(array):
    """F32 of a float array, I64 of an integer one."""
    if np.issubdtype(array.dtype, np.integer):
        return st.Tensor("I64", array.shape, array.astype("<i8").tobytes())
    return reference.from_float32(array.astype(np.float32), "F32")


class Learned(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        weight = (rng.standard_normal((ROWS, COLUMNS)) * 0.02).astype(np.float32)
        self.bias = rng.standard_normal(ROWS).astype(np.float32)
        self.source = st.write(self.folder / "in.safetensors", {name: stored(array) for name, array in
                                                                           {"b.fc.weight": weight, "b.fc.bias": self.bias, "b.out.weight": weight[:, ::-1]}.items()})
        self.weight = weight.astype(np.float64)
        # Columns of unlike size that have something in common, and a mean.
        inputs = rng.standard_normal((VECTORS, COLUMNS)) * rng.permutation(np.geomspace(0.1, 4, COLUMNS)) + rng.standard_normal((VECTORS, 1)) + 0.5
        self.moments = inputs.T @ inputs / VECTORS
        self.mean = inputs.mean(axis=0)
        self.stats = self.write_stats("s", {"second_moment": self.moments, "mean": self.mean, "count": np.array([VECTORS], np.int64)})

    def write_stats(self, name, tensors):
        return st.write(self.folder / f"{name}.safetensors", {f"b.fc.{key}": stored(value) for key, value in tensors.items()})

    def learn(self, fmt, *options):
        """The report of the first layer, and the error of its weight."""
        output = self.folder / "out.safetensors"
        arguments = ("--format", fmt, "--preset", "none", "-o", output, "--force", "--quiet", "--json")
        report = json.loads(self.check("convert", self.source, *arguments, *options).stdout)
        learned = {layer["name"]: layer for layer in report.get("learned", [])}
        back = self.folder / "back.safetensors"
        self.check("dequantize", output, "-o", back, "--dtype", "f32", "--force", "--quiet")
        self.output = st.read(output).tensors
        values = reference.to_float32(st.read(back).tensors["b.fc.weight"]).astype(np.float64)
        return learned.get("b.fc.weight"), values - self.weight

    def output_error(self, error):
        return np.sum((error @ self.moments) * error)

    def test_feedback_lowers_the_error_of_outputs_by_what_it_says(self):
        for fmt in FORMATS:
            with self.subTest(fmt):
                _, nearest = self.learn(fmt)
                layer, error = self.learn(fmt, "--rounding", "learned", "--stats", self.stats)
                self.assertEqual((layer["method"], layer["kept_nearest_because"]), ("feedback", ""))
                ratio = self.output_error(error) / self.output_error(nearest)
                self.assertLess(ratio, 0.75)
                self.assertAlmostEqual(layer["output_error_ratio"], ratio, delta=0.02)
                self.assertAlmostEqual(layer["mse_ratio"], np.sum(error**2) / np.sum(nearest**2), delta=0.01)

    def test_projection_lowers_the_loss_by_what_it_says(self):
        left, _, right = np.linalg.svd(self.weight)
        loss = lambda error: np.linalg.norm(left[:, :16].T @ error @ right[:16].T)
        for fmt in ("fp8", "int8-row", "nvfp4"):
            with self.subTest(fmt):
                _, nearest = self.learn(fmt)
                layer, error = self.learn(fmt, "--rounding", "learned", "--min-k", "16", "--top-p", "0.1")
                self.assertEqual((layer["method"], layer["rank"]), ("project", 16))
                self.assertLess(loss(error), 0.5 * loss(nearest))
                self.assertLess(layer["loss_ratio"], 0.3)
                self.assertLessEqual(np.sum(error**2), 1.051 * np.sum(nearest**2))

    def test_the_report_counts_the_directions_of_a_weight_that_has_few(self):
        rng = np.random.default_rng(SEED)
        weights = {f"w{rank}.weight": (rng.standard_normal((ROWS, rank)) @ rng.standard_normal((rank, COLUMNS))).astype(np.float32)
                   for rank in (0, 1, 5)}
        source = st.write(self.folder / "few.safetensors", {name: stored(weight) for name, weight in weights.items()})
        for method in ("closed", "project", "optimizer"):
            arguments = (source, "-o", self.folder / "few-out.safetensors", "--format", "fp8", "--preset", "none", "--rounding", "learned",
                         "--learn-method", method, "--extract-lora", 8, "--force")
            result = self.check("convert", *arguments, "--json", "--quiet")
            learned = {layer["name"]: layer for layer in result.json["learned"]}
            for rank in (1, 5):
                layer = learned[f"w{rank}.weight"]
                self.assertEqual((layer["rank"], layer["wanted_rank"]), (rank, ROWS), method)
                self.assertAlmostEqual(layer["captured_energy"], 1, delta=1e-3)
            self.assertEqual(learned["w0.weight"]["kept_nearest_because"], "its weights are all zero")
            self.assertEqual((learned["w0.weight"]["rank"], learned["w0.weight"]["lora_directions"]), (0, 0))
        self.assertIn(f"rank 5 instead of {ROWS}: no more directions were found", self.check(
            "convert", source, "-o", self.folder / "few-out.safetensors", "--format", "fp8", "--preset", "none", "--rounding", "learned",
            "--force").stdout)

    def test_the_budget_of_the_squared_error_is_kept(self):
        _, nearest = self.learn("nvfp4")
        for method in (("--stats", self.stats), ("--min-k", "16")):
            layer, error = self.learn("nvfp4", "--rounding", "learned", "--mse-budget", "0.02", *method)
            self.assertLessEqual(np.sum(error**2), 1.0201 * np.sum(nearest**2))
            self.assertEqual(layer["kept_nearest_because"], "")

    def test_bias_makes_up_for_the_mean(self):
        for rounding in ((), ("--rounding", "learned")):
            _, error = self.learn("nvfp4", "--bias-correction", "stats", "--stats", self.stats, *rounding)
            expected = self.bias - error @ self.mean
            np.testing.assert_allclose(reference.to_float32(self.output["b.fc.bias"]), expected, atol=2e-5)

    def test_a_diagonal_weights_the_search(self):
        diagonal = self.write_stats("d", {"diag": np.diag(self.moments)})
        _, plain = self.learn("nvfp4", "--scales", "search")
        _, weighted = self.learn("nvfp4", "--scales", "search", "--stats", diagonal)
        by_column = np.diag(self.moments)
        self.assertLess(np.sum(weighted**2 * by_column), 0.97 * np.sum(plain**2 * by_column))

    def test_cross_moments_move_the_target(self):
        # The quantized model gives x̂ = A x: the weight that undoes A is W A⁻¹, nearly, where the damping is small.
        rng = np.random.default_rng(SEED + 1)
        inputs = rng.standard_normal((8 * VECTORS, COLUMNS)) * np.linspace(0.5, 2, COLUMNS)
        change = np.eye(COLUMNS) + 0.02 * rng.standard_normal((COLUMNS, COLUMNS))
        moved = inputs @ change.T
        count = len(inputs)
        stats = self.write_stats("c", {"second_moment": moved.T @ moved / count, "cross_moment": inputs.T @ moved / count, "count": np.array([count])})
        outputs = inputs @ self.weight.T
        _, nearest = self.learn("int8-row")
        _, error = self.learn("int8-row", "--rounding", "learned", "--stats", stats, "--damping", "0.001")
        lost = lambda e: np.sum((moved @ (self.weight + e).T - outputs) ** 2)
        self.assertLess(lost(error), 0.1 * lost(nearest))

    def cross_statistics(self, name="x"):
        """Of a quantized model whose inputs of the layer are a little other than the original's."""
        rng = np.random.default_rng(SEED + 3)
        inputs = rng.standard_normal((VECTORS, COLUMNS)) @ rng.standard_normal((COLUMNS, COLUMNS))
        moved = inputs + 0.1 * inputs.std() * rng.standard_normal(inputs.shape)
        return self.write_stats(name, {"second_moment": moved.T @ moved / VECTORS, "cross_moment": inputs.T @ moved / VECTORS,
                                       "count": np.array([100 * VECTORS], np.int64)})

    def test_layers_with_a_moved_target_pass_their_verification(self):
        exact = np.where(np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 3, 1.0, -2.0)
        exact[:, 0] = 448 / 2.0
        for name, weight in {"usual": self.weight, "tiny": self.weight * 1e-28, "zeros": 0 * self.weight, "exact": exact}.items():
            self.source = st.write(self.folder / "w.safetensors", {"b.fc.weight": stored(weight)})
            for fmt in ("fp8", "int8-row", "nvfp4", "w4a4-convrot"):
                with self.subTest(name, format=fmt):
                    layer, _ = self.learn(fmt, "--target", "none", "--rounding", "learned", "--stats", self.cross_statistics(), "--verify")
                    self.assertEqual(layer["target"] is None, name == "zeros")

    def test_report_tells_the_damping_of_the_target_from_that_of_the_codes(self):
        learned = ("--rounding", "learned", "--stats", self.cross_statistics())
        layer, error = self.learn("int8-row", *learned, "--mse-budget", "0.02")
        self.assertAlmostEqual(layer["target"]["damping"], 0.03)
        self.assertGreater(layer["damping"], 0.05)
        layer, error = self.learn("int8-row", *learned, "--mse-budget", "0")
        self.assertEqual(layer["method"], "nearest")
        self.assertAlmostEqual(layer["target"]["change"], np.sum(error**2) / np.sum(self.weight**2), delta=0.05 * layer["target"]["change"])
        text = self.check("convert", self.source, "--format", "int8-row", "--preset", "none", "-o", self.folder / "t.safetensors", *learned,
                          "--mse-budget", "0", "--quiet").stdout
        self.assertIn("b.fc.weight  nearest to the moved target, because its squared error would exceed the budget", text)

    def test_second_moments_that_only_damping_makes_definite_are_not_used(self):
        turn = np.linalg.qr(np.random.default_rng(SEED + 4).standard_normal((COLUMNS, COLUMNS)))[0]
        moment = lambda values: (turn * values) @ turn.T
        stats = self.write_stats("i", {"second_moment": moment(np.repeat([-0.25, 2.25], COLUMNS // 2))})
        for damping in ("0.1", "0.35", "1"):
            layer, _ = self.learn("int8-row", "--rounding", "learned", "--stats", stats, "--damping", damping, "--extract-lora", "4")
            self.assertEqual(layer["kept_nearest_because"], "its second moments are not positive definite", damping)
            self.assertIsNone(layer["output_error_ratio"])
            self.assertEqual(layer["lora_error"], "squared")
        # What is definite but for the rounding of BF16 is used.
        rounded = reference.to_float32(reference.from_float32(moment(np.repeat([0, 2], COLUMNS // 2)).astype(np.float32), "BF16"))
        self.assertLess(np.linalg.eigvalsh(rounded.astype(np.float64)).min(), -1e-4)
        stats = self.write_stats("r", {"second_moment": (rounded + rounded.T) / 2})
        layer, _ = self.learn("int8-row", "--rounding", "learned", "--stats", stats, "--damping", "1")
        self.assertEqual(layer["method"], "feedback")

    def test_best_effort_goes_on_where_the_default_ends(self):
        source = st.write(self.folder / "large.safetensors", {
            f"{i}.weight": stored(np.random.default_rng(i).standard_normal((192, 256)) * 0.02) for i in range(4)})
        arguments = ("convert", source, "--format", "fp8", "--preset", "none", "--rounding", "learned", "--min-k", "16", "--top-p", "0.1",
                     "-o", self.folder / "out.safetensors", "--force", "--quiet", "--json")
        usual, best = (self.check(*arguments, "--effort", effort).json["learned"] for effort in ("default", "best"))
        for usual_layer, best_layer in zip(usual, best, strict=True):
            self.assertLess(best_layer["loss_ratio"], 0.6 * usual_layer["loss_ratio"])
            self.assertLess(best_layer["mse_ratio"], 1.05)

    def test_learned_is_an_array_even_of_no_layer(self):
        stats = st.write(self.folder / "other.safetensors", {"other.mean": stored(self.mean)})
        report = self.check("convert", self.source, "--format", "fp8", "--preset", "none", "--rounding", "learned", "--stats", stats,
                            "--allow-unused", "--quiet", "--json").json
        self.assertEqual(report["learned"], [])
        self.assertIn("the statistics have nothing of 2 of 2 quantized layers, 'b.fc', 'b.out': they are rounded as without them", report["notes"])

    def test_only_feedback_moves_the_target(self):
        stats = self.write_stats("x", {"second_moment": self.moments, "cross_moment": 0.9 * self.moments, "mean": self.mean})
        plain = self.convert(self.source, "fp8")
        corrected = self.convert(self.source, "fp8", "--bias-correction", "stats", "--stats", stats, output=self.folder / "c.safetensors")
        self.assertEqual(st.read(plain).tensors["b.fc.weight"].data, st.read(corrected).tensors["b.fc.weight"].data)

    def test_what_was_learned_passes_its_verification(self):
        for fmt in ("fp8", "nvfp4"):
            self.learn(fmt, "--rounding", "learned", "--stats", self.stats, "--damping", "0.01", "--verify")
        self.refuse("verify", self.folder / "out.safetensors", "--source", self.source, "--tolerance", "0.01", code=DIFFERENT, says=[])
        self.check("verify", self.folder / "out.safetensors", "--source", self.source, "--tolerance", "3")

    def test_weights_of_any_magnitude_are_learned(self):
        rng = np.random.default_rng(SEED + 2)
        for magnitude in (1e-40, 1e-25, 1e25, 1e36):
            weight = (rng.standard_normal((ROWS, COLUMNS)) * magnitude / 8).astype(np.float32)
            source = st.write(self.folder / "m.safetensors", {"b.fc.weight": stored(weight)})
            for method in (("--min-k", "16"), ("--learn-method", "closed"), ("--stats", self.stats), ("--extract-lora", "4")):
                with self.subTest(magnitude=magnitude, method=method):
                    self.check("convert", source, "--format", "int8-row", "--preset", "none", "--rounding", "learned", *method, "-o",
                               self.folder / "m-out.safetensors", "--force", "--quiet")

    def test_threads_and_runs_give_the_same_file(self):
        digests = set()
        for threads in ("1", "4", "1"):
            self.learn("nvfp4", "--rounding", "learned", "--stats", self.stats, "--scales", "search", "--threads", threads)
            digests.add(sha256(self.folder / "out.safetensors"))
        self.assertEqual(len(digests), 1)

    def test_weights_of_zeros_say_why_they_are_nearest(self):
        self.source = st.write(self.folder / "zeros.safetensors", {"b.fc.weight": stored(np.zeros((ROWS, COLUMNS)))})
        arguments = ("convert", self.source, "--format", "fp8", "--preset", "none", "--rounding", "learned", "--force", "--quiet")
        [layer] = json.loads(self.check(*arguments, "--json").stdout)["learned"]
        self.assertEqual(layer["kept_nearest_because"], "its weights are all zero")
        self.assertEqual(layer["elements"], ROWS * COLUMNS)
        self.assertIn("b.fc.weight  nearest, because its weights are all zero", self.check(*arguments).stdout)

    def test_layers_without_statistics_are_named(self):
        output = self.folder / "out.safetensors"
        text = self.check("convert", self.source, "--format", "fp8", "--preset", "none", "--rounding", "learned", "--stats", self.stats, "-o", output,
                          "--quiet").stdout
        self.assertIn("the statistics have nothing of 1 of 2 quantized layers, 'b.out': it is", text)

    def test_zero_weights_and_zero_inputs_stay_nearest(self):
        zeros = st.write(self.folder / "z.safetensors", {"b.fc.weight": stored(np.zeros((ROWS, COLUMNS)))})
        for fmt in FORMATS:
            nearest, learned = self.folder / "n.safetensors", self.folder / "l.safetensors"
            common = ("--format", fmt, "--preset", "none", "--force", "--quiet")
            self.check("convert", zeros, *common, "-o", nearest)
            self.check("convert", zeros, *common, "-o", learned, "--rounding", "learned", "--stats", self.stats)
            self.assertEqual(sha256(nearest), sha256(learned), fmt)
        none = self.write_stats("n", {"second_moment": np.zeros((COLUMNS, COLUMNS))})
        layer, _ = self.learn("fp8", "--rounding", "learned", "--stats", none)
        self.assertEqual(layer["kept_nearest_because"], "its inputs are all zero")

    def refuse_learning(self, *options, code=USAGE, says):
        words = () if "--format" in options else ("--format", "fp8")
        self.refuse("convert", self.source, *words, "--preset", "none", "-o", self.folder / "no.safetensors", *options, code=code, says=says)

    def test_options_without_effect_are_refused(self):
        self.refuse_learning("--learn-method", "project", says=["--learn-method has no effect without --rounding learned"])
        self.refuse_learning("--stats", self.stats, says=["--stats has no effect"])
        self.refuse_learning("--bias-correction", "stats", says=["needs --stats"])
        self.refuse_learning("--rounding", "learned", "--learn-method", "feedback", says=["needs --stats", "--prior weights"])
        self.refuse_learning("--rounding", "learned", "--min-k", "9", "--max-k", "8", says=["--min-k 9 is larger than --max-k 8"])
        self.refuse_learning("--rounding", "learned", "--stats", self.stats, "--seed", "1", says=["--seed has no effect on --learn-method feedback"])
        self.refuse_learning("--rounding", "learnd", says=["learned"])
        for method in ("project", "closed", "optimizer"):
            self.refuse_learning("--rounding", "learned", "--learn-method", method, "--stats", self.stats, says=[f"--stats has no effect on --learn-method {method}"])

    def test_numbers_that_are_none_are_refused_in_one_sentence(self):
        optimizer = ("--rounding", "learned", "--learn-method", "optimizer")
        for option, values in {"--learning-rate": ("inf", "nan", "-1"), "--iterations": ("-1",), "--stop-loss": ("-inf",), "--seed": ("-1",)}.items():
            for value in values:
                with self.subTest(option=option, value=value):
                    self.refuse_learning(*optimizer, f"{option}={value}", says=[f"{option}: takes a finite number of at least 0, not {value}"])

    def test_numbers_with_which_no_optimizer_works_are_refused(self):
        optimizer = ("--rounding", "learned", "--learn-method", "optimizer")
        for option, value in (("--iterations", "0"), ("--learning-rate", "0"), ("--rate-factor", "0"), ("--rate-factor", "2"), ("--rate-gamma", "2")):
            with self.subTest(option=option, value=value):
                schedule = ("--schedule", "exponential") if option == "--rate-gamma" else ()
                self.refuse_learning(*optimizer, *schedule, option, value, says=[f"{option} {value} .*it takes"])

    def test_the_plan_says_how_layers_are_rounded(self):
        options = ("--format", "nvfp4", "--preset", "none", "--rounding", "learned", "--stats", self.stats, "--bias-correction", "stats")
        explained = self.check("plan", self.source, *options, "--explain").stdout
        self.assertRegex(explained, r"rounded by feedback, with b\.fc\.second_moment, b\.fc\.mean, b\.fc\.count; corrects b\.fc\.bias")
        layers = {layer["name"]: layer for layer in self.check("plan", self.source, *options, "--json").json["layers"]}
        self.assertEqual(layers["b.fc.weight"]["rounding"], {"method": "feedback", "statistics": ["b.fc.second_moment", "b.fc.mean", "b.fc.count"],
                                                             "bias": "b.fc.bias", "lora_rank": 0})
        self.assertNotIn("rounding", layers["b.out.weight"])
        self.assertNotIn("rounded by", self.check("plan", self.source, "--format", "nvfp4", "--preset", "none", "--explain").stdout)

    def test_statistics_that_do_not_fit_are_refused_by_name(self):
        cases = {"'b.fc.second_moment' must be F32 or BF16 [256, 256]": {"second_moment": self.moments[:64, :64]},
                 "'b.fc.mean' must be F32 or BF16 [256]": {"mean": self.mean[:7]},
                 "'b.fc.count' must be one number": {"count": np.array([1, 2], np.int64), "mean": self.mean},
                 "'b.fc.second_moment' holds NaN": {"second_moment": self.moments * np.nan},
                 "'b.fc.second_moment' is not symmetric": {"second_moment": np.triu(self.moments)},
                 "gives column 0 a mean square of -": {"second_moment": -self.moments},
                 "'b.fc.mean' gives column 0 a mean of": {"second_moment": self.moments, "mean": 2 * np.sqrt(np.diag(self.moments))},
                 "'b.fc.mean_quantized' gives column 0 a mean of": {"second_moment": self.moments, "mean": self.mean,
                                                                   "mean_quantized": 2 * np.sqrt(np.diag(self.moments))},
                 "has nothing of any quantized layer": {},
                 "'b.fc.diag' gives column 3 a mean square of -1": {"diag": np.where(np.arange(COLUMNS) == 3, -1.0, 1.0)},
                 "the cross moments of 'b.fc.weight' would change its weight": {"second_moment": self.moments, "cross_moment": 1e6 * self.moments},
                 "'b.fc.cross_moment' holds nothing but zeros": {"second_moment": self.moments, "cross_moment": 0 * self.moments},
                 "must be a number of vectors of at least 1": {"count": np.array([0], np.int64), "second_moment": self.moments}}
        for sentence, tensors in cases.items():
            with self.subTest(sentence):
                needs = ("--scales", "search", "--format", "nvfp4") if "diag" in tensors else ("--format", "fp8")
                self.refuse_learning(*needs, "--rounding", "learned", "--stats", self.write_stats("bad", tensors), code=BAD_INPUT, says=[re.escape(sentence)])

    def test_fitted_scales_are_refused(self):
        self.refuse("convert", self.source, "--format", "w4a8", "--preset", "none", "--rounding", "learned", "-o", self.folder / "no.safetensors",
                    code=UNSUPPORTED, says=["w4a8"])


if __name__ == "__main__":
    unittest.main()
