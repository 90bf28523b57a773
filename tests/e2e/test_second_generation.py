"""Conversions of files that are quantized already: as if they had been dequantized to F32 first."""
import json
import unittest

import numpy as np

import models
import reference
import safetensors_file as st
from program import BAD_INPUT, SEED, ProgramTest

SOURCES = ("fp8", "fp8-row", "fp8-block", "fp8-e5m2", "fp8-cast", "int8", "int8-row", "int8-block", "int8-convrot", "nvfp4", "mxfp8",
           "mxfp8-hybrid", "w4a4-convrot", "w4a8", "nf4", "fp4", "nf4-bnb", "fp4-bnb")
TARGETS = ("fp8", "fp8-block", "int8-convrot", "nvfp4", "nf4")


class SecondGeneration(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        self.model = {"a.weight": models.outliers(rng, (128, 256)), "b.weight": models.floats(rng, (128, 512), spread=0.02),
                      "a.bias": models.floats(rng, (128,)), "norm": models.floats(rng, (256,))}
        self.source = st.write(self.folder / "in.safetensors", self.model, {"format": "pt"})

    def again(self, path, fmt, *options, code=0):
        output = self.folder / "again.safetensors"
        return output, self.check("convert", path, "-o", output, "--format", fmt, "--preset", "none", "--force", "--quiet", "--json",
                                  *options, code=code)

    def test_equals_a_conversion_of_the_dequantized_file(self):
        floats = self.folder / "floats.safetensors"
        for source in SOURCES:
            first = self.convert(self.source, source, output=self.folder / "first.safetensors")
            self.check("dequantize", first, "-o", floats, "--dtype", "f32", "--force", "--quiet")
            for target in TARGETS:
                if target == source:
                    continue
                with self.subTest(source=source, target=target):
                    output, _ = self.again(first, target)
                    expected = st.read(self.convert(floats, target, output=self.folder / "expected.safetensors"))
                    self.assert_holds(output, expected.tensors)

    def test_threads_and_memory_do_not_change_a_byte(self):
        first = self.convert(self.source, "fp8-block", output=self.folder / "first.safetensors")
        files = {self.again(first, "nf4", "--threads", threads, "--memory", memory)[0].read_bytes()
                 for threads in (1, 3) for memory in ("16MiB", "1GiB")}
        self.assertEqual(len(files), 1)

    def test_same_format_is_kept_as_it_is(self):
        for fmt in SOURCES:
            with self.subTest(format=fmt):
                first = self.convert(self.source, fmt, output=self.folder / "first.safetensors")
                output, report = self.again(first, fmt)
                self.assert_holds(output, st.read(first).tensors)
                self.assertEqual({layer["action"] for layer in report.json["layers"]}, {"keep"})

    def test_another_block_size_is_another_way(self):
        first = self.convert(self.source, "fp8-block", "--block-size", "128", output=self.folder / "first.safetensors")
        found = st.read(self.again(first, "fp8-block", "--block-size", "64")[0]).tensors
        self.assertEqual(found["a.weight_scale"].shape, (2, 4))

    def test_notes_say_second_generation_and_what_grows(self):
        first = self.convert(self.source, "nvfp4", output=self.folder / "first.safetensors")
        notes = " ".join(self.again(first, "fp8")[1].json["notes"])
        self.assertIn("second generation: 2 layers were quantized already", notes)
        self.assertIn("2 layers become larger", notes)

    def test_excluded_layers_keep_their_scales_and_labels(self):
        first = self.convert(self.source, "int8-row", output=self.folder / "first.safetensors")
        output, _ = self.again(first, "fp8", "--exclude", r"^b\.")
        kept = {name: tensor for name, tensor in st.read(first).tensors.items() if name.startswith("b.")}
        found = st.read(output).tensors
        for name, tensor in kept.items():
            self.assert_same(name, found[name], tensor)
        self.assertEqual(json.loads(found["a.comfy_quant"].data), {"format": "float8_e4m3fn"})

    def test_header_entry_follows(self):
        first = self.convert(self.source, "fp8", "--quant-metadata", output=self.folder / "first.safetensors")
        for options, expected in (((), {}), (("--quant-metadata",), {"a": "int8_tensorwise", "b": "int8_tensorwise"})):
            output, _ = self.again(first, "int8", *options)
            layers = json.loads(st.read(output).metadata["_quantization_metadata"])["layers"]
            self.assertEqual({name: layer["format"] for name, layer in layers.items()}, expected)

    def test_older_layout_loses_its_marker_with_its_last_layer(self):
        fp8 = st.read(self.convert(self.source, "fp8")).tensors
        legacy = {name.replace(".weight_scale", ".scale_weight"): tensor for name, tensor in fp8.items() if ".comfy_quant" not in name}
        legacy["scaled_fp8"] = st.Tensor("F8_E4M3", (2,), bytes(2))
        source = st.write(self.folder / "legacy.safetensors", legacy)
        self.assertNotIn("scaled_fp8", st.read(self.again(source, "int8-row")[0]).tensors)
        self.assertIn("scaled_fp8", st.read(self.again(source, "int8-row", "--exclude", r"^b\.")[0]).tensors)

    def test_scale_that_is_no_number_is_refused_by_name(self):
        first = st.read(self.convert(self.source, "fp8", output=self.folder / "first.safetensors")).tensors
        first["b.weight_scale"] = st.Tensor("F32", (), np.float32(np.nan).tobytes())
        source = st.write(self.folder / "broken.safetensors", first)
        output = self.folder / "out2.safetensors"
        self.refuse("convert", source, "-o", output, "--format", "nvfp4", "--preset", "none", code=BAD_INPUT, says=["b.weight", "scale"])
        self.assert_nothing_left(output)


if __name__ == "__main__":
    unittest.main()
