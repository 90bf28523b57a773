"""--scales search against plain scales, and for nvfp4 against every choice that there is."""
import re
import unittest

import numpy as np

import reference
import reference_blocks as blocks
import safetensors_file as st
from program import OK, REPOSITORY, SEED, ProgramTest, run, sha256

# Gains on Gaussian weights that are more than chance, squared error against absmax.
AT_MOST = {"nvfp4": 0.75, "fp8-row": 0.93, "fp8-block": 0.97, "int8": 0.9, "int8-block": 0.96, "w4a4-convrot": 0.75, "w4a8": 0.99, "nf4": 0.93, "fp4": 0.93,
           "nf4-bnb": 0.93, "fp4-bnb": 0.93}


def best_nvfp4_error(weight, tensor_scale):
    """The least squared error of each group of 16 over all E4M3 scales from 0.6 to 1.75 times the plain one."""
    groups = weight.reshape(-1, 16).astype(np.float32)
    plain = np.abs(groups).max(axis=1) / np.float32(6) / tensor_scale
    codes = np.arange(0x7F, dtype=np.uint8)
    scales = reference.decode(codes, reference.E4M3)
    low = reference.encode(np.minimum(plain * np.float32(0.6), 448), reference.E4M3)
    high = reference.encode(np.minimum(plain * np.float32(1.75), 448), reference.E4M3)
    least = np.full(len(groups), np.inf)
    for code, scale in zip(codes, scales):
        allowed = (code >= low) & (code <= high)
        if not allowed.any():
            continue
        step = tensor_scale * scale
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.clip(groups / step, -6, 6) if step > 0 else np.zeros_like(groups)
        found = blocks.decode_e2m1(blocks.encode_e2m1(values)) * step
        error = ((found.astype(np.float64) - groups) ** 2).sum(axis=1)
        least = np.where(allowed, np.minimum(least, error), least)
    return least


class ScaleSearch(ProgramTest):
    def setUp(self):
        super().setUp()
        self.rng = np.random.default_rng(SEED)
        self.weight = self.rng.standard_normal((256, 512), np.float32) * np.float32(0.02)
        self.source = st.write(self.folder / "in.safetensors", {"a.weight": reference.from_float32(self.weight, "BF16")})
        self.weight = reference.to_float32(st.read(self.source).tensors["a.weight"])

    def error(self, fmt, *options):
        """The squared error of the dequantized weight."""
        output = self.convert(self.source, fmt, *options)
        back = self.folder / "back.safetensors"
        self.check("dequantize", output, "-o", back, "--dtype", "f32", "--force", "--quiet")
        values = reference.to_float32(st.read(back).tensors["a.weight"])
        return ((values.astype(np.float64) - self.weight) ** 2).sum()

    def test_the_manual_lists_the_formats_that_can_be_searched(self):
        table = (REPOSITORY / "docs/MANUAL.md").read_text(encoding="utf-8").split("| formats | scales that are tried |")[1].split("\n\n")[0]
        listed = {name for row in table.splitlines()[2:] for name in re.findall("`([^`]+)`", row.split("|")[1])}
        found = {fmt["name"] for fmt in self.check("formats", "--json").json["formats"]
                 if run("plan", self.source, "--format", fmt["name"], "--scales", "search").code == OK}
        self.assertEqual((listed, set(AT_MOST)), (found, found))

    def test_search_gains(self):
        for fmt in AT_MOST:
            with self.subTest(fmt):
                self.assertLess(self.error(fmt, "--scales", "search"), AT_MOST[fmt] * self.error(fmt))

    def test_nvfp4_takes_the_best_of_all_scales(self):
        output = st.read(self.convert(self.source, "nvfp4", "--scales", "search")).tensors
        tensor_scale = reference.to_float32(output["a.weight_scale_2"]).item()
        self.assertAlmostEqual(self.error("nvfp4", "--scales", "search") / best_nvfp4_error(self.weight, np.float32(tensor_scale)).sum(),
                               1, places=5)

    def test_nvfp4_scales_of_groups_end_at_448_or_at_256(self):
        # Groups of one magnitude: only with the second they can be scaled up, and only that makes 3.75 exact.
        rising = np.tile(np.float32([5, -3.75]), 128 * 64).reshape(128, 128)
        # Groups that need the smallest E4M3 scale below a largest weight that 448 makes exact.
        falling = np.full((128, 128), 6 * 2.0 ** -9, np.float32)
        falling[0, :16] = 2688
        for values, factor, exact in ((rising, 1.75, True), (falling, 1.0, True)):
            with self.subTest(factor):
                self.weight = values
                self.source = st.write(self.folder / "in.safetensors", {"a.weight": reference.from_float32(values, "F32")})
                output = st.read(self.convert(self.source, "nvfp4", "--scales", "search")).tensors
                scale = reference.to_float32(output["a.weight_scale_2"]).item()
                self.assertEqual(scale, np.abs(values).max() * np.float32(factor) / np.float32(2688))
                self.assertEqual(self.error("nvfp4", "--scales", "search") == 0, exact)

    def test_int8_takes_the_candidate_of_least_error(self):
        self.weight[3, 5] = 20 * np.abs(self.weight).max()
        self.source = st.write(self.folder / "in.safetensors", {"a.weight": reference.from_float32(self.weight, "BF16")})
        self.weight = reference.to_float32(st.read(self.source).tensors["a.weight"])
        amax = np.abs(self.weight).max()
        tried = []
        for i in range(36):
            scale = amax * (np.float32(1) - np.float32(0.02) * np.float32(i)) / np.float32(127)
            codes = np.rint(np.clip(self.weight * (np.float32(1) / scale), -127, 127))
            tried.append((((codes.astype(np.float64) * scale - self.weight) ** 2).sum(), scale, codes))
        least = min(tried, key=lambda candidate: candidate[0])
        self.assertLess(least[0], tried[0][0])
        output = st.read(self.convert(self.source, "int8", "--scales", "search")).tensors
        self.assertEqual(reference.to_float32(output["a.weight_scale"]).item(), least[1])
        self.assertTrue(np.array_equal(reference.to_float32(output["a.weight"]), least[2]))

    def test_threads_and_memory_do_not_change_a_byte(self):
        for fmt in ("nvfp4", "fp8-row", "int8", "int8-block", "nf4"):
            sums = {sha256(self.convert(self.source, fmt, "--scales", "search", "--threads", threads, "--memory", memory))
                    for threads in (1, 3) for memory in ("16MiB", "1GiB")}
            with self.subTest(fmt):
                self.assertEqual(len(sums), 1)

    def test_plan_tells_the_two_apart(self):
        hashes = {self.check("plan", self.source, "--format", "nvfp4", "--preset", "none", "--json", "--scales", scales).json["plan_hash"]
                  for scales in ("absmax", "search")}
        self.assertEqual(len(hashes), 2)


if __name__ == "__main__":
    unittest.main()
