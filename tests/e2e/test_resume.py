"""A run that was interrupted anywhere goes on with --resume and writes what an uninterrupted one writes."""
import os
import random
import signal
import time
import unittest

import numpy as np

import models
import safetensors_file as st
from program import INTERRUPTED, IO_ERROR, OK, SEED, USAGE, ProgramTest, partial, sha256, start, wait_for_file

# Slow on purpose: w4a8 fits the scales of its groups for every row scale that is tried.
ARGUMENTS = ("--format", "w4a8", "--scales", "search", "--preset", "none", "--threads", "1")
SECONDS = 4  # that a run takes at least: several of the seconds after which records are written
LAYERS = 24


def journal(output):
    return output.with_name(output.name + ".journal")


def slow_model(path, rows):
    """Layers that differ from each other, so that one cannot pass for another."""
    rng = np.random.default_rng(SEED)
    tensors = {f"blocks.{i:02}.weight": models.floats(rng, (rows, 1024)) for i in range(LAYERS)}
    return st.write(path, tensors | {"head.bias": models.floats(rng, (1000,))}, {"format": "pt"})


class Killed(ProgramTest):
    """The conversion that all tests interrupt, and what it writes when nobody does."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rows = 256
        cls.complete = None

    def setUp(self):
        super().setUp()
        self.folder = self.new_folder(big=True)
        self.source = self.folder / "in.safetensors"
        self.output = self.folder / "out.safetensors"
        self.prepare()

    def prepare(self):
        """A model whose conversion takes long enough on this machine."""
        while True:
            slow_model(self.source, self.rows)
            if Killed.complete:
                return
            begin = time.monotonic()
            self.check("convert", self.source, "-o", self.output, *ARGUMENTS, "--quiet")
            if time.monotonic() - begin >= SECONDS or self.rows >= 16384:
                Killed.complete = sha256(self.output)
                first_codes = st.read(self.output).tensors["blocks.00.weight"].data
                Killed.place = self.output.read_bytes().find(first_codes)
                self.output.unlink()
                return
            Killed.rows = self.rows * 2
            self.output.unlink()

    def arguments(self, *options):
        return ("convert", self.source, "-o", self.output, *ARGUMENTS, "--resume", *options)

    def kill_after(self, seconds, *options, by=signal.SIGKILL):
        """Starts a run and ends it after so many seconds; its exit code and what it said."""
        process = start(*self.arguments(*options))
        time.sleep(seconds)
        process.send_signal(by)
        _, errors = process.communicate()
        return process.returncode, errors.decode()

    def interrupt(self, *options):
        """Kills a run that has recorded something."""
        process = start(*self.arguments(*options))
        while process.poll() is None and self.recorded() == 0:
            time.sleep(0.01)
        process.kill()
        _, errors = process.communicate()
        self.assertEqual(process.returncode, -signal.SIGKILL, errors)
        self.assertGreater(self.recorded(), 0)

    def recorded(self):
        """The records of the journal: its lines but the first."""
        return max(0, journal(self.output).read_bytes().count(b"\n") - 1) if journal(self.output).exists() else 0

    def finish(self, *options):
        """Resumes until the end; the counts of the report."""
        result = self.check(*self.arguments("--json", "--quiet", *options))
        self.assertEqual(sha256(self.output), Killed.complete)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["in.safetensors", "out.safetensors"])
        return result.json["resumption"]

    def test_killed_again_and_again(self):
        rng = random.Random(SEED)
        kills = 0
        recorded = [0]
        for attempt in range(40):
            code, errors = self.kill_after(rng.choice((rng.uniform(0, 0.1), rng.uniform(0, 2.5))), "--quiet")
            with self.subTest(seed=SEED, attempt=attempt):
                if code == OK:
                    break
                self.assertEqual(code, -signal.SIGKILL, errors)
                self.assertFalse(self.output.exists())
                if partial(self.output).exists():
                    self.assertFalse(st.is_loadable(partial(self.output)))
                self.assertGreaterEqual(self.recorded(), recorded[-1], "records were lost")
                kills += 1
                recorded.append(self.recorded())
        if self.output.exists():
            self.assertEqual(sha256(self.output), Killed.complete)
            self.assertFalse(journal(self.output).exists())
        else:
            self.assertEqual(self.finish()["jobs_redone"], 0)
        self.assertGreaterEqual(kills, 5, "too few runs were killed in the middle to prove anything")
        self.assertGreaterEqual(len(set(recorded)), 2, "no run went on where another one stopped")

    def test_killed_when_its_output_had_its_name(self):
        # As a kill leaves it between the renaming and the end of the journal: every job is recorded.
        self.interrupt()
        identity, record = journal(self.output).read_text().splitlines()[:2]
        jobs = self.finish()["jobs"]
        journal(self.output).write_text("\n".join([identity, *(f"{job} {record.split()[1]}" for job in range(jobs))]) + "\n")
        found = self.finish()
        self.assertEqual((found["jobs_kept"], found["jobs_redone"]), (jobs, 0))

    def test_control_c_says_how_to_go_on(self):
        code, errors = self.kill_after(1.5, by=signal.SIGINT)
        self.assertEqual(code, INTERRUPTED, errors)
        self.assertIn("--resume", errors)
        kept = self.recorded()
        self.assertGreater(kept, 0, "what was done before the signal is recorded")
        result = self.check(*self.arguments())
        self.assertEqual(sha256(self.output), Killed.complete)
        self.assertRegex(result.stderr, rf"going on with '.*out\.safetensors\.partial': {kept} of \d+ jobs are recorded as done")
        self.assertRegex(result.stdout, rf"(?m)^resumed +{kept} of \d+ jobs kept")

    def test_other_threads_and_memory_may_go_on(self):
        self.interrupt()
        kept = self.recorded()
        words = [word for word in self.arguments("--json", "--quiet") if word not in ("--threads", "1")]
        found = self.check(*words, "--threads", "2", "--memory", "16MiB", "--verify", "--target", "none").json["resumption"]
        self.assertEqual(found["jobs_kept"], kept)
        self.assertEqual(sha256(self.output), Killed.complete)

    def test_flipped_bytes_are_written_again(self):
        self.interrupt()
        kept = self.recorded()
        with open(partial(self.output), "r+b") as file:
            file.seek(self.place + 1000)
            byte = file.read(1)
            file.seek(self.place + 1000)
            file.write(bytes([byte[0] ^ 1]))
        found = self.finish()
        self.assertEqual((found["jobs_kept"], found["jobs_redone"]), (kept - 1, 1))

    def refuse_to_go_on(self, words, *says):
        before = {path: path.read_bytes() for path in (partial(self.output), journal(self.output))}
        self.refuse(*words, code=USAGE, says=["cannot go on", *says], path=journal(self.output), one_sentence=True)
        for path, content in before.items():
            self.assertTrue(path.read_bytes() == content, f"{path.name} was changed")

    def test_another_run_is_refused_and_loses_nothing(self):
        self.interrupt()
        self.refuse_to_go_on(self.arguments("--exclude", "07", "--quiet"), "the option --exclude differs")
        self.refuse_to_go_on(self.arguments("--shard-size", "3MiB", "--quiet"), "the option --shard-size differs")
        words = ["int8" if word == "w4a8" else word for word in self.arguments("--quiet")]
        self.refuse_to_go_on(words, "the option --format differs: it was 'w4a8'")
        time_before = self.source.stat()
        os.utime(self.source)
        self.refuse_to_go_on(self.arguments("--quiet"), rf"the input '{self.source}' has changed")
        os.utime(self.source, ns=(time_before.st_atime_ns, time_before.st_mtime_ns))
        other = self.source.rename(self.folder / "other.safetensors")
        words = [other if word == self.source else word for word in self.arguments("--quiet")]
        self.refuse_to_go_on(words, "other.safetensors' is not one that it read")
        other.rename(self.source)
        self.assertGreater(self.finish("--group-size", "16")["jobs_kept"], 0, "the default, written out, is the same conversion")

    def test_shards(self):
        options = ("--shard-size", "1MiB", "--quiet")
        self.check("convert", self.source, "-o", self.output, *ARGUMENTS, *options)
        whole = {path.name: sha256(path) for path in self.folder.iterdir()}
        self.assertGreater(len(whole), 5)
        for path in self.folder.glob("out*"):
            path.unlink()
        self.interrupt(*options)
        kept = self.recorded()
        self.assertEqual(self.check(*self.arguments("--json", *options)).json["resumption"]["jobs_kept"], kept)
        self.assertEqual({path.name: sha256(path) for path in self.folder.iterdir()}, whole)

    def test_second_run_is_refused_while_the_first_works(self):
        process = start(*self.arguments("--quiet"))
        try:
            self.assertTrue(wait_for_file(partial(self.output), process))
            self.refuse(*self.arguments("--quiet"), code=IO_ERROR, says=["another conversion"])
        finally:
            process.kill()
            process.communicate()
        self.assertTrue(partial(self.output).exists())


class Learned(ProgramTest):
    """What was learned in an interrupted run is not learned again."""

    def test_report_tells_of_all_layers(self):
        source, output = slow_model(self.folder / "in.safetensors", 256), self.folder / "out.safetensors"
        words = ("convert", source, "-o", output, "--format", "fp8", "--preset", "none", "--threads", "1", "--rounding", "learned",
                 "--learn-method", "optimizer", "--iterations", "60", "--stop-stall", "60", "--min-k", "16", "--top-p", "0.05")
        process = start(*words)
        while process.poll() is None and (not journal(output).exists() or journal(output).read_bytes().count(b"\n") < 2):
            time.sleep(0.01)
        process.kill()
        process.communicate()
        self.assertEqual(process.returncode, -signal.SIGKILL, "the run was too fast to be interrupted")
        recorded = journal(output).read_bytes()
        text = self.new_folder() / "text.safetensors"
        for path in (output.with_name(output.name + ".partial"), journal(output)):
            (text.parent / path.name.replace("out", "text")).write_bytes(path.read_bytes())
        report = self.check(*words, "--resume", "--json", "--quiet").json
        before = report["resumption"]["learned_before"]
        self.assertGreater(before, 0)
        self.assertLess(before, LAYERS)
        whole = [self.folder / "whole.safetensors" if word == output else word for word in words]
        told, expected = report["learned"], self.check(*whole, "--json", "--quiet").json["learned"]
        self.assertEqual(len(told), LAYERS)
        for layer in told + expected:
            self.assertGreater(layer.pop("seconds"), 0)
        self.assertEqual(told, expected)
        (text.parent / "text.safetensors.journal").write_bytes(recorded.replace(b"out.safetensors", b"text.safetensors"))
        words = [text if word == output else word for word in words]
        text = self.check(*words, "--resume", "--quiet").stdout
        self.assertRegex(text, f"; {before} layers? had been learned")
        self.assertEqual(text.count("squared error"), LAYERS)


class Refused(ProgramTest):
    def test_foreign_journal_is_kept(self):
        source = st.write(self.folder / "in.safetensors", models.transformer(np.random.default_rng(SEED), blocks=1))
        output = self.folder / "out.safetensors"
        journal(output).write_text("notes of somebody")
        self.refuse("convert", source, "-o", output, "--format", "fp8", "--resume", code=USAGE, says=["in the way"], path=journal(output))
        self.check("convert", source, "-o", output, "--format", "fp8", "--quiet")
        self.assertEqual(journal(output).read_text(), "notes of somebody")

    def test_fast_run_leaves_only_the_output(self):
        source = st.write(self.folder / "in.safetensors", models.transformer(np.random.default_rng(SEED), blocks=1))
        output = self.folder / "out.safetensors"
        self.check("convert", source, "-o", output, "--format", "fp8", "--resume", "--quiet")
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["in.safetensors", "out.safetensors"])


if __name__ == "__main__":
    unittest.main()
