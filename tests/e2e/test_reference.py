"""Validates the numpy reference itself, bit for bit, against the reference converter's files and published values."""
import json
import unittest

import numpy as np

import conformance
import reference
import safetensors_file as st


def codes(values, kind):
    return reference.encode(np.array(values, np.float32), kind).tolist()


def bits(value):
    return np.array(value, np.float32).view(np.uint32).item()


class Codec(unittest.TestCase):
    def test_every_finite_code_survives_decode_and_encode(self):
        for kind in (reference.E4M3, reference.E5M2):
            every = np.arange(256, dtype=np.uint8)
            values = reference.decode(every, kind)
            finite = np.abs(values) <= kind.largest
            self.assertEqual(reference.encode(values[finite], kind).tolist(), every[finite].tolist())

    def test_e4m3_published_values(self):
        self.assertEqual(codes([0.0, -0.0], reference.E4M3), [0x00, 0x80])
        table = {2.0**-10: 0x00, 1.5 * 2**-9: 0x02, 2.5 * 2**-9: 0x02, 7.5 * 2**-9: 0x08,
                 2.0**-6: 0x08, 1.0: 0x38, 1.0625: 0x38, 1.125: 0x39, 1.1875: 0x3A, 17.0: 0x58, 19.0: 0x5A,
                 432.0: 0x7E, 448.0: 0x7E}
        for value, code in table.items():
            self.assertEqual(codes([value], reference.E4M3), [code], value)
        self.assertEqual(codes([np.nextafter(np.float32(2**-10), np.float32(1))], reference.E4M3), [0x01])

    def test_e5m2_published_values(self):
        self.assertEqual(codes([1.0, 1.125, 1.375, 57344.0, 2.0**-17, 2.0**-14], reference.E5M2),
                         [0x3C, 0x3C, 0x3E, 0x7B, 0x00, 0x04])

    def test_bfloat16_rounds_to_nearest_even(self):
        tensor = reference.from_float32(np.array([1.00390625, 1.01171875, -1.00390631], np.float32), "BF16")
        self.assertEqual(np.frombuffer(tensor.data, "<u2").tolist(), [0x3F80, 0x3F82, 0xBF81])


class Chains(unittest.TestCase):
    def quantize(self, rows, fmt, **options):
        return reference.quantize(np.array(rows, np.float32), fmt, **options)

    def test_fp8_example(self):
        result = self.quantize([[0.1, -0.25, 0.3], [0.0, -0.7, 0.65]], "fp8")
        self.assertEqual(result.codes.tobytes().hex(), "68f27400fe7d")
        self.assertEqual(bits(result.scale.item()), 0x3ACCCCCD)

    def test_fp8_reciprocal_then_multiply(self):
        result = self.quantize([[1.5, 0.0087890625]], "fp8")
        self.assertEqual((bits(result.scale.item()), result.codes[0, 1]), (0x3B5B6DB6, 0x43))

    def test_fp8_row_of_zeros(self):
        result = self.quantize([[0, -0.0], [1, 2]], "fp8-row")
        self.assertEqual((bits(result.scale[0, 0]), result.codes[0].tolist()), (0x2720D7C5, [0x00, 0x80]))

    def test_fp8_tensor_of_zeros(self):
        result = self.quantize([[0, -0.0]], "fp8")
        self.assertEqual((bits(result.scale.item()), result.codes.tolist()), (0x3F800000, [[0, 0]]))

    def test_int8_divides_by_127(self):
        result = self.quantize([[1.1171875, 0.55859375]], "int8")
        self.assertEqual((bits(result.scale.item()), result.codes[0, 1]), (0x3C102041, 63))

    def test_int8_row_examples(self):
        result = self.quantize([[0.5, -0.123, 0.25, 0.0019685, -0.5]], "int8-row")
        self.assertEqual(result.codes.tolist(), [[127, -31, 64, 0, -127]])
        self.assertEqual(bits(result.scale.item()), 0x3B810204)
        self.assertEqual(self.quantize([[1.0546875, 0.52734375]], "int8-row").codes[0, 1], 63)
        self.assertEqual(bits(self.quantize([[1.5, 1]], "int8-row").scale.item()), 0x3C418305)
        self.assertEqual(bits(self.quantize([[0, 0], [1, 1]], "int8-row").scale[0, 0]), 0x280DD87D)

    def test_int8_block_of_zeros(self):
        weight = np.zeros((2, 4), np.float32)
        weight[:, 2:] = 1
        result = reference.quantize(weight, "int8-block", 2)
        self.assertEqual(bits(result.scale[0, 0]), 0x322BCC77)

    def test_comfy_quant_text_lengths(self):
        lengths = {"fp8": 27, "fp8-row": 35, "fp8-e5m2": 25, "int8": 29, "int8-row": 46}
        for fmt, length in lengths.items():
            self.assertEqual(len(reference.comfy_quant(fmt)), length)
        self.assertEqual(len(reference.comfy_quant("fp8", full_precision_mm=True)), 63)
        self.assertEqual(len(reference.comfy_quant("fp8-block", 128)), 56)
        self.assertEqual(len(reference.comfy_quant("int8-block", 128)), 47)

    def test_chunks_do_not_change_the_result(self):
        weight = np.random.default_rng(1).standard_normal((12, 40)).astype(np.float32)
        for fmt in ("fp8", "fp8-row", "int8-block"):
            whole = reference.quantize(weight, fmt, 4).codes
            chunk, reference.CHUNK = reference.CHUNK, 7
            try:
                self.assertTrue(np.array_equal(whole, reference.quantize(weight, fmt, 4).codes), fmt)
            finally:
                reference.CHUNK = chunk


class Container(unittest.TestCase):
    def test_header_of_the_published_example(self):
        tensors = {"a.weight": st.Tensor("F8_E4M3", (2, 3), bytes(6)), "a.weight_scale": st.Tensor("F32", (), bytes(4)),
                   "a.comfy_quant": st.Tensor("U8", (27,), bytes(27))}
        header = st.header_bytes(st.header_entries(tensors, st.output_order(tensors)), {"format": "pt"})
        self.assertEqual(header.decode(), '{"__metadata__":{"format":"pt"},"a.weight_scale":{"dtype":"F32","shape":[],'
                         '"data_offsets":[0,4]},"a.weight":{"dtype":"F8_E4M3","shape":[2,3],"data_offsets":[4,10]},'
                         '"a.comfy_quant":{"dtype":"U8","shape":[27],"data_offsets":[10,37]}} ')


class AgainstTheReferenceConverter(unittest.TestCase):
    def check(self, folder):
        checked = 0
        for case in conformance.cases(folder):
            if case.format not in reference.FORMATS:
                continue
            with self.subTest(case.name):
                source = st.read(case.input).tensors
                ours = reference.convert(source, case.format, case.options.get("block-size"))
                self.assertEqual(sorted(ours), sorted(case.expected()))
                for name, tensor in case.expected().items():
                    self.assertEqual((ours[name].dtype, ours[name].shape), (tensor.dtype, tensor.shape), name)
                    self.assertTrue(ours[name].data == tensor.data, f"bytes of {name} differ")
            checked += 1
        return checked

    def test_small_set(self):
        self.assertEqual(self.check(conformance.SMALL_SET), 4)

    @unittest.skipUnless(conformance.FULL_SET.is_dir(), conformance.FULL_SET_MISSING)
    def test_full_set(self):
        self.assertGreaterEqual(self.check(conformance.FULL_SET), 16)

    def test_layers_entry_of_the_header(self):
        for case in conformance.cases(conformance.SMALL_SET):
            layers = json.loads(st.read(case.output).metadata["_quantization_metadata"])["layers"]
            for layer, entry in layers.items():
                ours = json.loads(reference.comfy_quant(case.format, case.options.get("block-size")))
                ours.pop("per_row", None)  # only in the tensor
                self.assertEqual(ours, entry, layer)


if __name__ == "__main__":
    unittest.main()
