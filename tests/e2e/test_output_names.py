"""Names of outputs: no file of a run takes the place of another one, and what cannot be reached is said in one sentence."""
import os
import unittest

import numpy as np

import reference
import safetensors_file as st
from program import BAD_INPUT, IO_ERROR, SEED, USAGE, ProgramTest, run, sha256


class OutputNames(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = np.random.default_rng(SEED)
        tensors = {f"blocks.{i}.q.weight": reference.from_float32(rng.standard_normal((128, 128), np.float32), "F32") for i in range(4)}
        self.source = st.write(self.folder / "in.safetensors", tensors)
        self.output = self.folder / "l.safetensors"

    def refused(self, code, sentence, *arguments):
        before = sorted(os.listdir(self.folder))
        result = run(*arguments)
        self.assertEqual(result.code, code, result)
        self.assertIn(sentence, result.stderr, result)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result)
        self.assertEqual(sorted(os.listdir(self.folder)), before, result)

    def test_lora_takes_no_name_of_the_model(self):
        for options in ([], ["--rounding", "learned"], ["--resume"]):
            for ending in ("", ".partial", ".journal"):
                self.refused(USAGE, "choose another name", "convert", self.source, "--format", "fp8", "-o", self.output, "--extract-lora", 4,
                             "--lora-output", f"{self.output}{ending}", "--force", *options)
        # The other way round: the partial file of the LoRA is the model.
        self.refused(USAGE, "choose another name", "convert", self.source, "--format", "fp8", "-o", self.folder / "x.partial",
                     "--extract-lora", 4, "--lora-output", self.folder / "x", "--force")

    def test_lora_takes_no_name_of_shards(self):
        for name in ("l-00001-of-00004.safetensors", "l.safetensors.index.json"):
            for ending in ("", ".partial"):
                self.refused(USAGE, "choose another name", "convert", self.source, "--format", "fp8", "-o", self.output, "--shard-size", "20KB",
                             "--extract-lora", 4, "--lora-output", self.folder / (name + ending), "--force")

    def test_resumed_run_has_the_lora_of_the_interrupted_one(self):
        tensors = dict(st.read(self.source).tensors)
        tensors["blocks.9.q.weight"] = reference.from_float32(np.full((128, 128), np.nan, np.float32), "F32")
        source = st.write(self.folder / "nan.safetensors", tensors)
        convert = ("convert", source, "--format", "fp8", "-o", self.output, "--extract-lora", 4, "--resume", "--threads", 1)
        self.check(*convert, code=BAD_INPUT)
        self.assertTrue((self.folder / "l-lora.safetensors.partial").exists())
        self.refused(USAGE, "it wrote 'l-lora.safetensors'", *convert, "--lora-output", self.folder / "other.safetensors")

    def test_plans_refuse_what_runs_refuse(self):
        rules = self.folder / "rules.json"
        rules.write_text('{"rules": []}')
        like = self.check("convert", self.source, "--format", "fp8", "-o", self.folder / "like.safetensors", "--quiet") and self.folder / "like.safetensors"
        lora = ("--extract-lora", 4, "--lora-output")
        link = self.folder / "link.partial"
        link.symlink_to(self.source)
        named = {name: st.write(self.folder / name, dict(st.read(self.source).tensors)) for name in ("p.partial", "j.journal")}
        cases = {
            "input": (self.source, "-o", self.source),
            "rules": (self.source, "-o", rules, "--rules", rules),
            "example": (self.source, "-o", like, "--like", like),
            "partial file": (named["p.partial"], "-o", self.folder / "p"),
            "link": (self.source, "-o", self.folder / "link"),
            "journal": (named["j.journal"], "-o", self.folder / "j"),
            "LoRA": (self.source, "-o", self.output, *lora, self.output),
            "partial LoRA": (self.source, "-o", self.output, *lora, f"{self.output}.partial"),
            "shards": (self.source, "-o", self.output, "--shard-size", "20KB", *lora, self.folder / "l-00001-of-00004.safetensors"),
        }
        for what, (source, *options) in cases.items():
            with self.subTest(what):
                arguments = (source, "--format", "fp8", *options, "--force")
                said = run("convert", *arguments).stderr
                self.refused(USAGE, "choose another name", "plan", *arguments)
                self.refused(USAGE, said, "plan", *arguments)
                self.refused(USAGE, said, "convert", *arguments, "--dry-run")
        for command in ("edit", "migrate"):
            options = ("--add-prefix", "x.") if command == "edit" else ("--input-scale", "add")
            said = run(command, like, "-o", like, "--force", *options).stderr
            self.refused(USAGE, "is the input itself", command, like, "-o", like, "--force", *options)
            self.refused(USAGE, said, command, like, "-o", like, "--force", "--dry-run", *options)
        self.refused(USAGE, "does not exist", "plan", self.source, "--format", "fp8", "-o", self.folder / "nowhere" / "out.safetensors")
        self.refused(IO_ERROR, "too long", "plan", self.source, "--format", "fp8", "-o", self.folder / ("o" * 300))

    def test_plans_of_outputs_that_exist(self):
        self.output.write_bytes(b"")
        self.check("plan", self.source, "--format", "fp8", "-o", self.output)

    def test_text_files_replace_no_input(self):
        digest = sha256(self.source)
        self.refused(USAGE, "is the input itself", "allocate", self.source, "--formats", "fp8", "--target-size", "1GB", "-o", self.source,
                     "--force")
        self.refused(USAGE, "is the input itself", "eval", self.source, "--source", self.source, "--html", self.source, "--force")
        self.assertEqual(sha256(self.source), digest)

    def test_links_in_a_loop_are_an_io_error(self):
        loop = self.folder / "loop"
        loop.symlink_to(loop)
        for arguments in (("inspect", loop), ("verify", loop), ("convert", loop, "--format", "fp8"),
                          ("convert", self.source, "--format", "fp8", "-o", loop / "out.safetensors"),
                          ("convert", self.source, "--like", loop), ("eval", loop, "--source", self.source),
                          ("eval", self.source, "--source", self.source, "--html", loop / "x.html")):
            self.refused(IO_ERROR, "loop", *arguments)

    def test_names_that_are_too_long(self):
        for length in (247 + 1, 300):
            name = "o" * (length - 12) + ".safetensors"
            self.refused(IO_ERROR, "too long", "convert", self.source, "--format", "fp8", "-o", self.folder / name)
        self.refused(IO_ERROR, "too long", "inspect", self.folder / ("i" * 300))
        name = "o" * (247 - 12) + ".safetensors"
        self.check("convert", self.source, "--format", "fp8", "-o", self.folder / name, "--quiet")


if __name__ == "__main__":
    unittest.main()
