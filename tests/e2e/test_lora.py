"""--extract-lora: what quantization loses, and how much of it a LoRA brings back."""
import unittest

import numpy as np

import reference
import safetensors_file as st
from program import BAD_INPUT, SEED, UNSUPPORTED, USAGE, ProgramTest, sha256

RANK = 8
ROWS, COLUMNS = 192, 256
# One format of each kind: scales of a weight, rows and runs, padding, rotation, flat blocks, nested scales.
FORMATS = {
    "fp8": (), "fp8-cast": (), "int8-row": (), "fp8-block": ("--block-size", "64"), "nvfp4": (), "mxfp8": (),
    "int8-convrot": ("--rotation-group", "64"), "w4a4-convrot": ("--rotation-group", "64"), "nf4": (), "nf4-bnb": ("--double-quant",),
}
NAMES = {  # layer in the file: what the LoRA calls it
    "blocks.0.q": "diffusion_model.blocks.0.q",
    "diffusion_model.blocks.1.q": "diffusion_model.blocks.1.q",
    "model.diffusion_model.blocks.2.q": "diffusion_model.blocks.2.q",
}


def values(path):
    return {name: reference.to_float32(tensor).astype(np.float64) for name, tensor in st.read(path).tensors.items()
            if tensor.dtype in ("F32", "BF16")}


def best(error, rank):
    """The least squared norm that a correction of `rank` leaves of `error`."""
    return (np.linalg.svd(error, compute_uv=False)[rank:] ** 2).sum()


class Lora(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        self.layers = {name: rng.standard_normal((ROWS, COLUMNS), np.float32) * np.float32(0.02) for name in NAMES}
        self.rng = rng
        self.source = self.write(self.layers)
        self.lora = self.folder / "out-lora.safetensors"

    def write(self, layers):
        tensors = {name + ".weight": reference.from_float32(weight, "F32") for name, weight in layers.items()}
        return st.write(self.folder / "in.safetensors", tensors)

    def errors(self, output):
        """What each layer has lost, in its own space and shape."""
        back = self.folder / "back.safetensors"
        self.check("dequantize", output, "-o", back, "--dtype", "f32", "--force", "--quiet")
        restored = values(back)
        return {name: weight.astype(np.float64) - restored[name + ".weight"] for name, weight in self.layers.items()}

    def correction(self, name, path=None):
        factors = values(path or self.lora)
        return factors[NAMES[name] + ".lora_up.weight"] @ factors[NAMES[name] + ".lora_down.weight"]

    def statistics(self):
        """Inputs of which a few directions are much larger than the others; and their second moment."""
        scales = np.geomspace(8, 0.1, COLUMNS)
        turn = np.linalg.qr(self.rng.standard_normal((COLUMNS, COLUMNS)))[0]
        moment = ((turn * scales ** 2) @ turn.T).astype(np.float32)
        tensors = {}
        for name in NAMES:
            tensors[name + ".second_moment"] = reference.from_float32(moment, "F32")
            tensors[name + ".count"] = reference.from_float32(np.array([100000], np.float32), "F32")
        path = st.write(self.folder / "stats.safetensors", tensors, {"format": "halftone-statistics", "version": "1"})
        return path, moment.astype(np.float64)

    def test_every_format_is_corrected_as_far_as_its_rank_goes(self):
        for fmt, options in FORMATS.items():
            with self.subTest(fmt):
                plain = sha256(self.convert(self.source, fmt, *options))
                output = self.convert(self.source, fmt, "--extract-lora", RANK, *options)
                self.assertEqual(sha256(output), plain, "a LoRA changes nothing in the model")
                self.assertEqual(set(st.read(self.lora).tensors),
                                 {f"{name}.lora_{side}.weight" for name in NAMES.values() for side in ("up", "down")})
                for name, error in self.errors(output).items():
                    rest = ((error - self.correction(name)) ** 2).sum()
                    self.assertLess(rest, (error ** 2).sum())
                    # The directions are found in a random subspace, nearly the best.
                    self.assertLess(rest, 1.02 * best(error, RANK))

    def test_factors_are_singular_vectors(self):
        self.convert(self.source, "int8-row", "--extract-lora", RANK)
        factors = st.read(self.lora).tensors
        for name in NAMES.values():
            up, down = (factors[f"{name}.lora_{side}.weight"] for side in ("up", "down"))
            self.assertEqual((up.dtype, tuple(up.shape)), ("F32", (ROWS, RANK)))
            self.assertEqual((down.dtype, tuple(down.shape)), ("F32", (RANK, COLUMNS)))
            down, up = reference.to_float32(down), reference.to_float32(up)
            np.testing.assert_allclose(down @ down.T, np.eye(RANK), atol=1e-4)
            lengths = np.linalg.norm(up, axis=0)
            self.assertTrue((np.diff(lengths) <= 0).all(), lengths)

    def test_full_rank_takes_the_whole_error_off(self):
        output = self.convert(self.source, "fp8", "--extract-lora", 10000)
        for name, error in self.errors(output).items():
            self.assertLess(((error - self.correction(name)) ** 2).sum(), 1e-8 * (error ** 2).sum())

    def test_second_moments_make_the_error_of_outputs_smaller(self):
        stats, moment = self.statistics()
        for fmt in ("int8-row", "int8-convrot", "nvfp4"):
            with self.subTest(fmt):
                options = FORMATS[fmt]
                plain = self.folder / "plain-lora.safetensors"
                self.convert(self.source, fmt, "--extract-lora", RANK, "--lora-output", plain, *options)
                result = self.check("convert", self.source, "-o", self.folder / "out.safetensors", "--format", fmt, "--preset", "none",
                                    "--force", "--quiet", "--extract-lora", RANK, "--stats", stats, "--json", *options)
                errors = self.errors(self.folder / "out.safetensors")
                for layer in result.json["learned"]:
                    name = layer["name"].removesuffix(".weight")
                    of = lambda error: np.trace(error @ moment @ error.T)
                    whole = of(errors[name])
                    rest = of(errors[name] - self.correction(name))
                    self.assertLess(rest, 0.98 * of(errors[name] - self.correction(name, plain)))
                    self.assertEqual((layer["lora_error"], layer["lora_rank"]), ("output", RANK))
                    self.assertAlmostEqual(layer["lora_captured"], 1 - rest / whole, delta=2e-3)

    def test_learned_rounding_has_a_lora_of_its_own_error(self):
        output = self.convert(self.source, "int8-row", "--extract-lora", RANK, "--rounding", "learned")
        for name, error in self.errors(output).items():
            self.assertLess(((error - self.correction(name)) ** 2).sum(), 1.02 * best(error, RANK))

    def test_a_weight_of_zeros_has_factors_of_zeros(self):
        self.layers = {name: np.zeros((ROWS, COLUMNS), np.float32) for name in NAMES}
        self.convert(self.write(self.layers), "nvfp4", "--extract-lora", RANK)
        for tensor in values(self.lora).values():
            self.assertFalse(tensor.any())

    def test_bytes_do_not_depend_on_threads_or_memory(self):
        found = set()
        for options in (("--threads", "1"), ("--threads", "4", "--memory", "4GiB"), ("--memory", "16MiB")):
            self.convert(self.source, "fp8-row", "--extract-lora", RANK, *options)
            found.add(sha256(self.lora))
        self.assertEqual(len(found), 1)

    def test_shards_have_one_lora(self):
        self.convert(self.source, "fp8", "--extract-lora", RANK, "--shard-size", "50KB")
        self.assertTrue((self.folder / "out.safetensors.index.json").exists())
        self.assertEqual(len(st.read(self.lora).tensors), 2 * len(NAMES))

    def test_default_name_has_no_extension_of_the_output(self):
        for name, lora in (("tx.st", "tx-lora.safetensors"), ("flux1.5", "flux1.5-lora.safetensors"), ("a.b.safetensors", "a.b-lora.safetensors"),
                           ("plain", "plain-lora.safetensors")):
            self.convert(self.source, "fp8", "--extract-lora", RANK, output=self.folder / name)
            self.assertTrue((self.folder / lora).exists(), lora)

    def test_a_lora_of_an_earlier_output_is_noted(self):
        words = ("convert", self.source, "-o", self.folder / "out.safetensors", "--format", "fp8", "--preset", "none", "--force", "--json", "--quiet")
        self.assertEqual(self.check(*words, "--extract-lora", RANK).json["notes"], [])
        before = self.lora.read_bytes()
        note, = self.check(*words).json["notes"]
        self.assertIn("out-lora.safetensors", note)
        self.assertEqual(self.lora.read_bytes(), before)

    def test_nothing_is_replaced_unasked(self):
        self.lora.write_text("precious")
        arguments = ("convert", self.source, "-o", self.folder / "out.safetensors", "--format", "fp8", "--preset", "none", "--extract-lora", RANK)
        self.refuse(*arguments, code=USAGE, says=["exists", "--force"], path=self.lora)
        self.assertEqual(self.lora.read_text(), "precious")
        self.assertEqual({path.name for path in self.folder.iterdir()}, {"in.safetensors", "out-lora.safetensors"})
        self.refuse(*arguments, "--force", "--lora-output", self.folder / "out.safetensors", code=USAGE, says=["output itself"])
        self.refuse(*arguments, "--force", "--lora-output", self.source, code=USAGE, says=["input itself"])

    def test_what_cannot_be_is_refused(self):
        arguments = ("convert", self.source, "--format", "fp8", "--preset", "none", "-o", self.folder / "out.safetensors")
        self.refuse(*arguments, "--lora-output", self.lora, code=USAGE, says=["--extract-lora"])
        self.refuse(*arguments, "--extract-lora", "0", code=USAGE, says=["--extract-lora"])
        words = list(arguments)
        words[words.index("fp8")] = "w4a8"
        self.refuse(*words, "--extract-lora", "4", code=UNSUPPORTED, says=["fitted to the codes"])

    def test_two_layers_of_one_name_are_refused(self):
        weight = self.layers["blocks.0.q"]
        source = self.write({"a.q": weight, "diffusion_model.a.q": weight})
        self.refuse("convert", source, "--format", "fp8", "--preset", "none", "--extract-lora", "4", code=BAD_INPUT,
                    says=["two tensors 'diffusion_model.a.q"])


if __name__ == "__main__":
    unittest.main()
