"""`--shard-size`: the output in several files with an index, as Hugging Face has it."""
import json
import re
import signal
import unittest

import numpy as np

import models
import safetensors_file as st
from program import BAD_INPUT, DIFFERENT, INTERRUPTED, IO_ERROR, SEED, USAGE, ProgramTest, partial, start, wait_for_file

HEADER_KEY = "_quantization_metadata"


class ShardTest(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = models.transformer(np.random.default_rng(SEED), blocks=4)
        self.source = st.write(self.folder / "in.safetensors", self.model, {"format": "pt"})
        self.parts = self.folder / "parts"
        self.parts.mkdir()
        self.output = self.parts / "model.safetensors"

    def shards(self, fmt, size, *options, source=None):
        """Converts; returns the report, the index and the files by name."""
        report = self.check("convert", source or self.source, "-o", self.output, "--format", fmt, "--preset", "none", "--shard-size", size,
                            "--force", "--quiet", "--json", *options).json
        index = json.loads((self.parts / "model.safetensors.index.json").read_text())
        return report, index, {path.name: st.read(path) for path in self.parts.glob("*.safetensors")}

    def whole(self, fmt, *options):
        return st.read(self.convert(self.source, fmt, *options, output=self.folder / "whole.safetensors"))


class Layout(ShardTest):
    def test_shards_hold_together_what_the_file_holds(self):
        for fmt in ("fp8", "int8-block", "nvfp4", "mxfp8-hybrid", "nf4", "fp4-bnb"):
            with self.subTest(fmt):
                for path in self.parts.iterdir():
                    path.unlink()
                report, index, files = self.shards(fmt, "300KiB")
                whole = self.whole(fmt)
                self.assertGreater(len(files), 2)
                count = len(files)
                self.assertEqual(sorted(files), [f"model-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1)])
                self.assertEqual(index["weight_map"], {name: file for file in sorted(files) for name in files[file].tensors})
                self.assertEqual(sorted(index["weight_map"]), sorted(whole.tensors))
                for name, file in index["weight_map"].items():
                    self.assert_same(name, files[file].tensors[name], whole.tensors[name])
                self.assertEqual(index["metadata"], {"total_size": sum(len(tensor.data) for tensor in whole.tensors.values())})
                for file in files.values():
                    self.assertEqual(list(file.tensors), st.output_order(file.tensors))
                    self.assertEqual(file.metadata, {"format": "pt"})
                self.assertEqual(report["output"]["bytes"], sum(path.stat().st_size for path in self.parts.iterdir()))
                self.assertEqual({shard["name"]: (shard["bytes"], shard["tensors"]) for shard in report["output"]["shards"]},
                                 {name: ((self.parts / name).stat().st_size, len(file.tensors)) for name, file in files.items()})
                self.assertEqual(report["output"]["path"], str(self.parts / "model.safetensors.index.json"))

    def test_layers_stay_together_and_files_are_filled_in_order(self):
        limit = 300 * 1024
        for fmt in ("fp8", "nf4"):
            with self.subTest(fmt):
                _, index, files = self.shards(fmt, limit)
                layers = {}
                for name, file in index["weight_map"].items():
                    layers.setdefault(re.sub(r"\.(weight|weight_scale|comfy_quant|weight\.(absmax|quant_.*))$", "", name), set()).add(file)
                self.assertEqual({layer: len(found) for layer, found in layers.items() if len(found) > 1}, {})
                data = {name: sum(len(tensor.data) for tensor in file.tensors.values()) for name, file in files.items()}
                for name, held in data.items():
                    alone = len({layer for layer, found in layers.items() if name in found}) == 1
                    self.assertTrue(held <= limit or alone, f"{name} holds {held}")
                of_layer = [next(iter(layers[layer])) for layer in sorted(layers)]
                self.assertEqual(of_layer, sorted(of_layer))  # the files follow the names
                for path in self.parts.iterdir():
                    path.unlink()

    def test_index_is_sorted_json_with_a_newline(self):
        self.shards("fp8", "300KiB")
        text = (self.parts / "model.safetensors.index.json").read_text()
        self.assertEqual(text, json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n")

    def test_model_that_fits_is_one_file_without_an_index(self):
        self.check("convert", self.source, "-o", self.output, "--format", "fp8", "--preset", "none", "--shard-size", "5GB", "--quiet")
        self.assertEqual([path.name for path in self.parts.iterdir()], ["model.safetensors"])
        self.convert(self.source, "fp8", output=self.folder / "whole.safetensors")
        self.assertEqual(self.output.read_bytes(), (self.folder / "whole.safetensors").read_bytes())

    def test_layer_beyond_the_size_has_a_file_of_its_own(self):
        _, index, files = self.shards("fp8", 1)
        self.assertEqual(len(files), len({re.sub(r"\.(weight|weight_scale|comfy_quant)$", "", name) for name in index["weight_map"]}))

    def test_shards_are_verified_before_they_appear(self):
        for fmt, options in (("fp8", ()), ("nvfp4", ("--quant-metadata",)), ("nf4-bnb", ("--double-quant", "--target", "none"))):
            with self.subTest(fmt):
                for path in self.parts.iterdir():
                    path.unlink()
                report, _, files = self.shards(fmt, "300KiB", "--verify", *options)
                self.assertGreater(len(files), 1)
                self.assertTrue(report["verification"]["passed"])
                quantized = [layer["name"] for layer in report["layers"] if layer["action"] == "quantize"]
                self.assertEqual(len(report["verification"]["layers"]), len(quantized))
                self.assertTrue(all(layer["sqnr_db"] > 10 for layer in report["verification"]["layers"]))

    def test_header_labels_are_in_the_first_file_alone(self):
        _, _, files = self.shards("fp8", "300KiB", "--quant-metadata")
        first = min(files)
        self.assertEqual({name for name, file in files.items() if HEADER_KEY in file.metadata}, {first})
        self.assertEqual(files[first].metadata, self.whole("fp8", "--quant-metadata").metadata)

    def test_shards_are_read_as_one_model_again(self):
        self.shards("fp8", "300KiB", "--quant-metadata")
        one, two = self.folder / "one.safetensors", self.folder / "two.safetensors"
        self.check("dequantize", self.parts, "-o", one, "--quiet")
        self.convert(self.source, "fp8", "--quant-metadata", output=self.folder / "whole.safetensors")
        self.check("dequantize", self.folder / "whole.safetensors", "-o", two, "--quiet")
        self.assertEqual(one.read_bytes(), two.read_bytes())

    def test_threads_memory_and_way_of_writing_change_nothing(self):
        contents = set()
        for folder in (self.folder, self.new_folder(big=True)):  # the second one is in memory, where there is room
            for threads in (1, 3):
                self.output = folder / "same" / "model.safetensors"
                self.output.parent.mkdir(exist_ok=True)
                self.parts = self.output.parent
                self.shards("mxfp8-hybrid", "100KiB", "--threads", threads, "--memory", "16MiB")
                contents.add(tuple((path.name, path.read_bytes()) for path in sorted(self.parts.iterdir())))
        self.assertEqual(len(contents), 1)

    def test_plan_tells_the_files_and_writes_none(self):
        options = (self.source, "-o", self.output, "--format", "fp8", "--preset", "none", "--shard-size", "300KiB")
        plan = self.check("plan", *options, "--json").json
        self.assertEqual(list(self.parts.iterdir()), [])
        self.assertRegex(self.check("plan", *options).stdout, r"model\.safetensors\.index\.json, \d+ tensors in \d files")
        report, _, _ = self.shards("fp8", "300KiB")
        self.assertEqual((plan["plan_hash"], plan["output"]), (report["plan_hash"], report["output"]))
        whole = self.check("plan", *options[:-2], "--json").json
        self.assertNotEqual(plan["plan_hash"], whole["plan_hash"])

    def test_default_name(self):
        self.check("convert", self.source, "--format", "fp8", "--preset", "none", "--shard-size", "300KiB", "--quiet")
        self.assertTrue((self.folder / "in-fp8.safetensors.index.json").exists())
        self.assertTrue(list(self.folder.glob("in-fp8-00001-of-*.safetensors")))


class Safety(ShardTest):
    def refuse_shards(self, *options, code=USAGE, says=()):
        before = {path.name: path.read_bytes() for path in self.parts.iterdir()}
        self.refuse("convert", self.source, "-o", self.output, "--format", "fp8", "--preset", "none", "--shard-size", "300KiB", *options,
                    code=code, says=says)
        self.assertEqual({path.name: path.read_bytes() for path in self.parts.iterdir()}, before)

    def test_any_file_that_exists_is_kept(self):
        self.shards("fp8", "300KiB")
        names = [path.name for path in self.parts.iterdir()]
        for name in names:
            with self.subTest(name):
                for other in self.parts.iterdir():
                    other.unlink()
                (self.parts / name).write_bytes(b"mine")
                self.refuse_shards(says=[re.escape(name), "exists"])

    def test_force_replaces_all(self):
        self.shards("int8", "300KiB")
        _, index, files = self.shards("fp8", "300KiB")
        for name, tensor in self.whole("fp8").tensors.items():
            self.assert_same(name, files[index["weight_map"][name]].tensors[name], tensor)
        self.assertEqual(list(self.parts.glob("*.partial")), [])

    def test_shards_of_the_input_and_of_the_example_are_kept(self):
        self.shards("fp8", "300KiB")
        before = {path.name: path.read_bytes() for path in self.parts.iterdir()}
        for words in ((self.parts, "--format", "int8"), (self.source, "--like", self.parts)):
            self.refuse("convert", *words, "-o", self.output, "--preset", "none", "--shard-size", "300KiB", "--force", code=USAGE,
                        says=["input itself"])
            self.assertEqual({path.name: path.read_bytes() for path in self.parts.iterdir()}, before)

    def test_error_in_the_last_shard_leaves_none(self):
        bad = np.zeros((64, 64), np.uint16)
        bad[3, 5] = 0x7FC0  # NaN in BF16
        self.source = st.write(self.folder / "nan.safetensors", self.model | {"z.weight": st.Tensor("BF16", (64, 64), bad.tobytes())})
        self.refuse_shards(code=BAD_INPUT, says=["z.weight", "NaN"])

    def test_shards_that_do_not_pass_their_verification_never_appear(self):
        # No product of FP8 takes this layer in ComfyUI, and it lies in the last file.
        odd = {"z.weight": models.floats(np.random.default_rng(SEED), (30, 20))}
        self.source = st.write(self.folder / "odd.safetensors", self.model | odd)
        self.refuse_shards("--verify", code=DIFFERENT, says=["model.safetensors.index.json", "not kept", "z: ", "divisible by 16"])
        self.assertEqual(list(self.parts.iterdir()), [])

    def test_index_of_an_older_output_does_not_hide_a_new_one(self):
        self.shards("fp8", "300KiB")
        index = self.parts / "model.safetensors.index.json"
        words = ("convert", self.source, "-o", self.output, "--format", "int8", "--preset", "none", "--quiet")
        before = {path.name: path.read_bytes() for path in self.parts.iterdir()}
        self.refuse(*words, code=USAGE, says=["index.json' is there", "shards", "--force"], one_sentence=True)
        self.assertEqual({path.name: path.read_bytes() for path in self.parts.iterdir()}, before)
        report = self.check(*words, "--force", "--json").json
        self.assertTrue(any(str(index) in note for note in report["notes"]), report["notes"])
        self.assertEqual(index.read_bytes(), before[index.name])
        # The index of the input itself may stay: its shards become one file beside it.
        self.output.unlink()
        report = self.check("dequantize", index, "-o", self.output, "--quiet", "--json").json
        self.assertTrue(any(str(index) in note for note in report["notes"]), report["notes"])

    def test_interruption_leaves_none(self):
        big = [(f"layers.{i}.weight", "BF16", (4096, 4096)) for i in range(40)]
        source = st.write_sparse(self.folder / "big.safetensors", big)
        process = start("convert", source, "-o", self.output, "--format", "nvfp4", "--preset", "none", "--shard-size", "64MiB",
                        "--threads", "1", "--quiet")
        seen = wait_for_file(partial(self.parts / "model.safetensors.index.json"), process)
        process.send_signal(signal.SIGINT)
        process.communicate()
        self.assertTrue(seen, "no index was begun")
        self.assertEqual(process.returncode, INTERRUPTED)
        self.assertEqual(list(self.parts.iterdir()), [])

    def test_space_for_all_is_asked_before_the_first(self):
        huge = [(f"layers.{i}.weight", "BF16", (2**22, 2**16)) for i in range(30)]  # 7.5 TiB of FP8
        self.source = st.write_sparse(self.folder / "huge.safetensors", huge)
        self.refuse("convert", self.source, "-o", self.output, "--format", "fp8", "--preset", "none", "--shard-size", "300GiB",
                    code=IO_ERROR, says=["00001-of-000", "7.50 TiB"])
        self.assertEqual(list(self.parts.iterdir()), [])

    def test_sizes_that_are_none_and_too_many_files_are_refused(self):
        for size in ("0", "lots", "-1", "5 GB x"):
            self.refuse("convert", self.source, "--format", "fp8", f"--shard-size={size}", code=USAGE, says=["--shard-size takes a size"])
        self.refuse("convert", self.source, "--format", "fp8", "--shard-size", "", code=USAGE, says=["--shard-size takes a size"])
        many = {f"b.{i}": st.Tensor("U8", (1,), b"x") for i in range(600)}
        source = st.write(self.folder / "many.safetensors", many)
        self.refuse("convert", source, "-o", self.output, "--format", "fp8", "--shard-size", "1", code=USAGE, says=["600 files", "500"])


if __name__ == "__main__":
    unittest.main()
