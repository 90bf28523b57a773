"""Sharded checkpoints: an index or a folder gives what the single file gives; broken sets are refused."""
import json
import os
import unittest

import numpy as np

import models
import safetensors_file as st
from program import BAD_INPUT, SEED, USAGE, ProgramTest, sha256

SHARDS = 3


def shard_name(number):
    return f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"


class Shards(ProgramTest):
    def setUp(self):
        super().setUp()
        self.model = models.transformer(np.random.default_rng(SEED), blocks=3)
        self.shards = self.folder / "shards"
        self.shards.mkdir()
        names = sorted(self.model)
        self.parts = [{name: self.model[name] for name in names[number::SHARDS]} for number in range(SHARDS)]
        for number, part in enumerate(self.parts):
            st.write(self.shards / shard_name(number), part, {"format": "pt"})
        self.weight_map = {name: shard_name(number) for number, part in enumerate(self.parts) for name in part}
        self.index = self.shards / "model.safetensors.index.json"
        self.write_index(self.weight_map)
        self.output = self.folder / "out.safetensors"

    def write_index(self, weight_map):
        total = sum(len(tensor.data) for tensor in self.model.values())
        self.index.write_text(json.dumps({"metadata": {"total_size": total}, "weight_map": weight_map}, indent=2) + "\n")

    def expected_sum(self, fmt):
        single = st.write(self.folder / "single.safetensors", self.model, {"format": "pt"})
        return sha256(self.convert(single, fmt, output=self.folder / "single-out.safetensors"))

    def refuse_shards(self, *patterns, source=None):
        for arguments in (("plan", source or self.index), ("convert", source or self.index, "-o", self.output)):
            self.refuse(*arguments, "--format", "fp8", "--preset", "none", "--quiet", code=BAD_INPUT, says=patterns,
                        one_sentence=True)
        self.assert_nothing_left(self.output)

    # What works.

    def test_index_gives_the_bytes_of_the_single_file(self):
        for fmt in ("fp8", "int8-row"):
            self.assertEqual(sha256(self.convert(self.index, fmt, output=self.output)), self.expected_sum(fmt))

    def test_folder_gives_the_bytes_of_the_single_file(self):
        self.assertEqual(sha256(self.convert(self.shards, "fp8", output=self.output)), self.expected_sum("fp8"))

    def test_folder_without_an_index(self):
        self.index.unlink()
        self.assertEqual(sha256(self.convert(self.shards, "fp8", output=self.output)), self.expected_sum("fp8"))

    def test_output_is_the_index(self):
        before = self.index.read_text()
        for source in (self.index, self.shards):
            self.refuse("convert", source, "-o", self.index, "--format", "fp8", "--preset", "none", "--force", code=USAGE,
                        says=["input itself"])
        self.assertEqual(self.index.read_text(), before)

    def test_folder_with_one_shard_of_several(self):
        alone = self.folder / "alone"
        alone.mkdir()
        (alone / shard_name(0)).write_bytes((self.shards / shard_name(0)).read_bytes())
        self.refuse_shards("shards", source=alone)

    def test_shards_that_are_links_into_a_cache(self):
        blobs = self.folder / "blobs"
        blobs.mkdir()
        for number in range(SHARDS):
            path = self.shards / shard_name(number)
            path.rename(blobs / f"{number:064}")
            path.symlink_to(os.path.join("..", "blobs", f"{number:064}"))
        self.assertEqual(sha256(self.convert(self.index, "fp8", output=self.output)), self.expected_sum("fp8"))

    def test_index_of_another_naming(self):
        names = {shard_name(number): shard_name(number).replace("model-", "diffusion_pytorch_model.fp16-")
                 for number in range(SHARDS)}
        for old, new in names.items():
            (self.shards / old).rename(self.shards / new)
        self.index.unlink()
        self.index = self.shards / "diffusion_pytorch_model.safetensors.index.fp16.json"
        self.write_index({name: names[shard] for name, shard in self.weight_map.items()})
        self.assertEqual(sha256(self.convert(self.index, "fp8", output=self.output)), self.expected_sum("fp8"))

    def test_plan_counts_all_shards(self):
        plan = self.check("plan", self.index, "--format", "fp8", "--preset", "none", "--json").json
        self.assertEqual(plan["input"]["tensors"], len(self.model))

    # What is refused.

    def test_missing_shard(self):
        (self.shards / shard_name(1)).unlink()
        self.refuse_shards(shard_name(1))

    def test_truncated_shard(self):
        os.truncate(self.shards / shard_name(2), (self.shards / shard_name(2)).stat().st_size - 1)
        self.refuse_shards(shard_name(2))

    def test_tensor_missing_from_its_shard(self):
        name = next(iter(self.parts[1]))
        others = {key: value for key, value in self.parts[1].items() if key != name}
        st.write(self.shards / shard_name(1), others, {"format": "pt"})
        self.refuse_shards(name.replace(".", r"\."), shard_name(1))

    def test_tensor_absent_from_the_map(self):
        name = next(iter(self.parts[1]))
        self.write_index({key: value for key, value in self.weight_map.items() if key != name})
        self.refuse_shards(name.replace(".", r"\."))

    def test_tensor_in_two_shards(self):
        name = next(iter(self.parts[0]))
        st.write(self.shards / shard_name(1), self.parts[1] | {name: self.parts[0][name]}, {"format": "pt"})
        self.refuse_shards(name.replace(".", r"\."))
        self.index.unlink()
        self.refuse_shards(name.replace(".", r"\."), source=self.shards)

    def test_name_twice_in_the_map(self):
        name = next(iter(self.parts[0]))
        text = self.index.read_text().replace('"weight_map": {', f'"weight_map": {{"{name}": "{shard_name(1)}",')
        self.index.write_text(text)
        self.refuse_shards("duplicate|twice|" + name.replace(".", r"\."))

    def test_path_out_of_the_folder(self):
        outside = self.folder / "outside.safetensors"
        name = next(iter(self.parts[0]))
        st.write(outside, {name: self.parts[0][name]})
        for path in ("../outside.safetensors", str(outside), "x/../../outside.safetensors", "..", "", "."):
            with self.subTest(path):
                self.write_index(self.weight_map | {name: path})
                self.refuse_shards("path|folder|file name|outside|shard")

    def test_index_that_is_broken(self):
        for text in ("", "{", "[]", "{}", '{"weight_map":[]}', '{"weight_map":{"a":1}}', '{"weight_map":{"a":null}}'):
            with self.subTest(text):
                self.index.write_text(text)
                self.refuse_shards(r"index\.json")


if __name__ == "__main__":
    unittest.main()
