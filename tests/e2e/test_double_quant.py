"""Double quantization of the bitsandbytes layouts, written and read, against numpy."""
import json
import math
import unittest

import numpy as np

import reference
import reference_blocks as blocks
import safetensors_file as st
from program import SEED, BAD_INPUT, USAGE, ProgramTest, sha256

F32 = np.float32
BLOCK = 256


def dynamic_map():
    """bitsandbytes' 8-bit levels: each decade down to 1e-6 has half as many as the next larger one, and there are 0 and 1."""
    levels = [0.0, 1.0]
    for decade in range(7):
        ends = np.linspace(0.1, 1, 2 ** decade + 1).astype(F32)
        middles = F32(10.0 ** (decade - 6)) * ((ends[:-1] + ends[1:]) / F32(2))
        levels += [*middles, *-middles]
    return np.sort(F32(levels))


class DoubleQuant(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        self.weights = {"a.weight": rng.standard_normal((300, 129), F32) * F32(0.02),  # 605 blocks, the last of 28
                        "b.weight": np.full((2, 64), F32(0.5)), "zero.weight": np.zeros((3, 64), F32)}
        self.source = st.write(self.folder / "in.safetensors",
                               {name: reference.from_float32(weight, "F32") for name, weight in self.weights.items()})

    def quantized(self, fmt, *options, source=None, output=None):
        return self.convert(source or self.source, fmt, "--container", "bnb", "--double-quant", "--indivisible", "keep", *options,
                            output=output)

    def test_tensors_are_those_of_the_single_form_with_quantized_scales(self):
        for fmt in ("nf4", "fp4"):
            single = st.read(self.convert(self.source, fmt + "-bnb", "--indivisible", "keep")).tensors
            double = st.read(self.quantized(fmt)).tensors
            for name, weight in self.weights.items():
                with self.subTest(format=fmt, layer=name):
                    self.assert_same(name, double[name], single[name])
                    self.assert_same(name, double[name + ".quant_map"], single[name + ".quant_map"])
                    scales = reference.to_float32(single[name + ".absmax"])
                    self.assert_nested(name, double, scales)
                    state = f"{name}.quant_state.bitsandbytes__{fmt}"
                    label = json.loads(double[state].data)
                    self.assertEqual(list(label.items())[:4], list(json.loads(single[state].data).items()))
                    self.assertEqual(list(label)[4:], ["nested_blocksize", "nested_dtype", "nested_offset"])
                    self.assertEqual((label["nested_blocksize"], label["nested_dtype"]), (BLOCK, "float32"))
                    self.assertEqual(F32(label["nested_offset"]), F32(scales.astype(np.float64).sum() / scales.size))

    def assert_nested(self, name, tensors, scales):
        """Every scale takes the nearest level."""
        levels = reference.to_float32(tensors[name + ".nested_quant_map"])
        self.assertTrue(np.array_equal(levels, dynamic_map()))
        codes = np.frombuffer(tensors[name + ".absmax"].data, np.uint8)
        self.assertEqual((tensors[name + ".absmax"].dtype, tensors[name + ".absmax"].shape), ("U8", (scales.size,)))
        state = next(key for key in tensors if key.startswith(name + ".quant_state."))
        rest = scales - F32(json.loads(tensors[state].data)["nested_offset"])
        magnitudes = reference.to_float32(tensors[name + ".nested_absmax"])
        self.assertEqual(magnitudes.shape, (math.ceil(scales.size / BLOCK),))
        for first, magnitude in zip(range(0, scales.size, BLOCK), magnitudes):
            block = rest[first:first + BLOCK]
            self.assertEqual(magnitude, np.abs(block).max())
            wanted = block / magnitude if magnitude else np.zeros_like(block)
            distance = np.abs(wanted[:, None].astype(np.float64) - levels)
            self.assertTrue((distance[np.arange(block.size), codes[first:first + BLOCK]] <= distance.min(axis=1)).all(), name)

    def restored(self, tensors, name):
        """The weight, from what the tensors say."""
        state = next(key for key in tensors if key.startswith(name + ".quant_state."))
        label = json.loads(tensors[state].data)
        codes = blocks.unpack(np.frombuffer(tensors[name].data, np.uint8), first_high=True)[:math.prod(label["shape"])]
        nested = np.arange(len(tensors[name + ".absmax"].data)) // label["nested_blocksize"]
        scales = reference.to_float32(tensors[name + ".nested_quant_map"])[np.frombuffer(tensors[name + ".absmax"].data, np.uint8)]
        scales = scales * reference.to_float32(tensors[name + ".nested_absmax"])[nested] + F32(label["nested_offset"])
        levels = blocks.LEVELS[label["quant_type"] + "-bnb"][codes]
        return (levels * scales[np.arange(codes.size) // label["blocksize"]]).reshape(label["shape"])

    def test_dequantize_gives_the_values_of_the_tensors(self):
        for fmt in ("nf4", "fp4"):
            for options in ((), ("--block-size", 4096), ("--scales", "search")):
                quantized = self.quantized(fmt, *options)
                tensors = st.read(quantized).tensors
                output = self.folder / "plain.safetensors"
                self.check("dequantize", quantized, "-o", output, "--dtype", "f32", "--force", "--quiet")
                plain = st.read(output).tensors
                self.assertEqual(sorted(plain), sorted(self.weights))
                for name in self.weights:
                    if name + ".absmax" not in tensors:
                        continue
                    with self.subTest(format=fmt, options=options, layer=name):
                        self.assertTrue(np.array_equal(reference.to_float32(plain[name]), self.restored(tensors, name)))

    def test_threads_and_memory_do_not_change_a_byte(self):
        sums = {sha256(self.quantized("nf4", "--threads", threads, "--memory", memory))
                for threads in (1, 3) for memory in ("16MiB", "1GiB")}
        self.assertEqual(len(sums), 1)

    def test_what_is_stored_so_is_kept_and_what_is_not_is_quantized_anew(self):
        single = self.convert(self.source, "nf4-bnb", "--indivisible", "keep", output=self.folder / "single.safetensors")
        double = self.quantized("nf4", output=self.folder / "double.safetensors")
        again = self.quantized("nf4", source=double, output=self.folder / "again.safetensors")
        self.assertEqual(st.read(again).tensors, st.read(double).tensors)
        anew = st.read(self.quantized("nf4", source=single, output=self.folder / "anew.safetensors")).tensors
        self.assertEqual(anew["a.weight.absmax"].dtype, "U8")

    def test_broken_layers_are_refused(self):
        tensors = st.read(self.quantized("nf4")).tensors
        state = "a.weight.quant_state.bitsandbytes__nf4"
        label = json.loads(tensors[state].data)
        whole = blocks.floats(np.zeros(3, F32))
        for says, change in (("nested_offset", {state: blocks.text({k: v for k, v in label.items() if k != "nested_offset"})}),
                             ("nested_offset", {state: blocks.text({**label, "nested_offset": "0"})}),
                             ("nested_blocksize", {state: blocks.text({**label, "nested_blocksize": 64})}),
                             (r"U8 \[605\]", {"a.weight.absmax": blocks.floats(np.zeros(605, F32))}),
                             (r"F32 \[3\]", {"a.weight.nested_absmax": blocks.floats(np.zeros(2, F32))}),
                             (r"F32 \[256\]", {"a.weight.nested_quant_map": whole}),
                             ("not finite", {"a.weight.nested_absmax": blocks.floats(np.full(3, np.inf, F32))})):
            source = st.write(self.folder / "broken.safetensors", tensors | change)
            with self.subTest(says):
                self.refuse("dequantize", source, "-o", self.folder / "x.safetensors", code=BAD_INPUT, says=[says])

    def test_option_without_effect_is_an_error(self):
        for words in (("nf4",), ("fp8",), ("nf4", "--container", "ctq")):
            with self.subTest(words):
                self.refuse("convert", self.source, "--double-quant", "--format", *words, code=USAGE, says=["--double-quant"])


if __name__ == "__main__":
    unittest.main()
