"""The input is never touched, the output's name never lies, and no fault ends in a signal."""
import contextlib
import os
import random
import signal
import subprocess
import time
import unittest

import numpy as np

import models
import safetensors_file as st
from program import INTERRUPTED, IO_ERROR, OK, SEED, USAGE, ProgramTest, command, partial, run, sha256, start, wait_for_file

ARGUMENTS = ("--format", "fp8", "--preset", "none", "--quiet")


class Names(ProgramTest):
    def small_model(self, path):
        return st.write(path, models.transformer(np.random.default_rng(SEED), blocks=1), {"format": "pt"})

    def setUp(self):
        super().setUp()
        self.source = self.small_model(self.folder / "in.safetensors")
        self.before = sha256(self.source)
        self.output = self.folder / "out.safetensors"

    def refuse_output(self, output, *options, code=USAGE, source=None):
        result = self.refuse("convert", source or self.source, "-o", output, *ARGUMENTS, *options, code=code,
                             one_sentence=True)
        self.assertEqual(sha256(self.source), self.before, "the input was changed")
        return result

    def test_output_equal_to_input(self):
        for options in ((), ("--force",)):
            self.refuse_output(self.source, *options)
            self.refuse_output(self.folder / "." / ".." / self.folder.name / self.source.name, *options)

    def test_output_is_a_symbolic_link_to_the_input(self):
        self.output.symlink_to(self.source)
        for options in ((), ("--force",)):
            self.refuse_output(self.output, *options)
        self.assertTrue(self.output.is_symlink())

    def test_output_is_a_hard_link_to_the_input(self):
        os.link(self.source, self.output)
        for options in ((), ("--force",)):
            self.refuse_output(self.output, *options)

    def test_input_is_a_symbolic_link_to_the_output(self):
        link = self.folder / "link.safetensors"
        link.symlink_to(self.source)
        self.refuse_output(self.source, "--force", source=link)

    def test_output_is_the_rules_file(self):
        rules = self.folder / "rules.json"
        rules.write_text('{"rules": []}')
        self.refuse_output(rules, "--force", "--rules", rules)
        self.assertEqual(rules.read_text(), '{"rules": []}')

    def test_input_is_a_pipe(self):
        pipe = self.folder / "pipe.safetensors"
        os.mkfifo(pipe)
        self.refuse("convert", pipe, "-o", self.output, *ARGUMENTS, code=IO_ERROR, says=["no regular file"])

    def test_output_without_a_name(self):
        self.refuse("convert", self.source, "-o", "", *ARGUMENTS, code=USAGE, says=["-o"])

    def test_the_partial_file_would_be_the_input(self):
        for make in (os.link, os.symlink):
            make(self.source, partial(self.output))
            run("convert", self.source, "-o", self.output, *ARGUMENTS)
            self.assertEqual(sha256(self.source), self.before, f"the input was changed ({make.__name__})")
            for path in (partial(self.output), self.output):
                path.unlink(missing_ok=True)

    def test_the_input_has_the_name_of_the_partial_file(self):
        source = self.small_model(partial(self.output))
        self.refuse("convert", source, "-o", self.output, *ARGUMENTS, code=USAGE)
        self.assertEqual(sha256(source), self.before)

    def test_existing_output_is_kept_without_force(self):
        self.output.write_bytes(b"precious")
        self.assertIn("--force", self.refuse_output(self.output).stderr)
        self.assertEqual(self.output.read_bytes(), b"precious")
        self.assertFalse(partial(self.output).exists())

    def test_force_replaces_the_output(self):
        self.output.write_bytes(b"precious")
        self.check("convert", self.source, "-o", self.output, *ARGUMENTS, "--force")
        self.assertTrue(st.is_loadable(self.output))

    def test_only_the_output_is_left(self):
        self.check("convert", self.source, "-o", self.output, *ARGUMENTS)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["in.safetensors", "out.safetensors"])
        self.assertEqual(self.output.stat().st_mode & 0o777, 0o666 & ~umask())

    def test_default_name_is_beside_the_input(self):
        self.check("convert", self.source, "--format", "int8-row", "--preset", "none", "--quiet", cwd="/")
        self.assertTrue(st.is_loadable(self.folder / "in-int8-row.safetensors"))

    def test_missing_output_folder_is_said_before_any_work(self):
        huge = st.write_sparse(self.folder / "huge.safetensors",
                               [(f"{i}.weight", "BF16", (16384, 16384)) for i in range(16)])
        begin = time.monotonic()
        self.refuse_output(self.folder / "absent" / "out.safetensors", source=huge, code=(USAGE, IO_ERROR))
        self.assertLess(time.monotonic() - begin, 2)

    def test_output_that_is_no_regular_file_stays(self):
        (self.folder / "directory").mkdir()
        os.mkfifo(self.folder / "fifo")
        for name in ("directory", "fifo"):
            before = os.stat(self.folder / name)
            self.refuse_output(self.folder / name, "--force", code=(USAGE, IO_ERROR))
            self.assertEqual(os.stat(self.folder / name).st_mode, before.st_mode)

    @unittest.skipUnless(os.geteuid() == 0, "making a device file needs root")
    def test_output_that_is_a_full_device_stays(self):
        device = self.folder / "full"
        try:
            os.mknod(device, 0o666 | 0o020000, os.makedev(1, 7))
        except OSError as error:
            self.skipTest(f"cannot make a device file: {error}")
        self.refuse_output(device, "--force", code=(USAGE, IO_ERROR))
        self.assertTrue(device.is_char_device())

    def test_results_that_cannot_be_printed_are_an_error(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(command(("inspect", self.source, "--json")), stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, IO_ERROR, done.stderr)


class Interrupted(ProgramTest):
    def setUp(self):
        super().setUp()
        self.folder = self.new_folder(big=True)
        self.source = models.linear_stack(self.folder / "in.safetensors", layers=12)
        self.output = self.folder / "out.safetensors"
        begin = time.monotonic()
        self.complete = sha256(self.convert(self.source, "fp8", output=self.output))
        self.seconds = time.monotonic() - begin
        self.output.unlink()

    def check_partial(self):
        """It does not load, except when complete: between its last bytes and the rename."""
        path = partial(self.output)
        if st.is_loadable(path):
            with contextlib.suppress(FileNotFoundError):  # renamed meanwhile
                self.assertEqual(sha256(path), self.complete, "an incomplete partial file that loads")

    def test_partial_file_never_loads(self):
        """Looks again and again at the file of a run that stands still meanwhile."""
        process = start("convert", self.source, "-o", self.output, *ARGUMENTS, "--threads", 1)
        try:
            looks = 0
            while wait_for_file(partial(self.output), process) and process.poll() is None:
                process.send_signal(signal.SIGSTOP)
                self.check_partial()
                process.send_signal(signal.SIGCONT)
                looks += 1
                time.sleep(0.001)
        finally:
            process.send_signal(signal.SIGCONT)
            _, errors = process.communicate()
        self.assertEqual(process.returncode, OK, errors)
        self.assertGreater(looks, 0, "the partial file was never seen")

    def test_killed_at_random_times(self):
        """The name exists only when the file is complete, the partial file does not load, a new run succeeds."""
        rng = random.Random(SEED)
        interrupted = 0
        for attempt in range(20):
            process = start("convert", self.source, "-o", self.output, *ARGUMENTS)
            time.sleep(rng.uniform(0, self.seconds))
            process.kill()
            process.communicate()
            with self.subTest(seed=SEED, attempt=attempt):
                interrupted += process.returncode == -signal.SIGKILL
                if self.output.exists():
                    self.assertEqual(sha256(self.output), self.complete)
                    self.output.unlink()
                else:
                    self.check_partial()
        self.assertGreaterEqual(interrupted, 5, "too few runs were killed in the middle to prove anything")
        self.check("convert", self.source, "-o", self.output, *ARGUMENTS)
        self.assertEqual(sha256(self.output), self.complete)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["in.safetensors", "out.safetensors"])

    def test_control_c(self):
        for attempt in range(5):
            process = start("convert", self.source, "-o", self.output, *ARGUMENTS, "--threads", 1)
            wait_for_file(partial(self.output), process)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate()
            if process.returncode != OK:  # else it was complete before the signal came
                break
            self.output.unlink()
        self.assertEqual(process.returncode, INTERRUPTED, errors)
        self.assert_nothing_left(self.output)

    def test_a_run_that_does_not_stop_is_ended_and_leaves_nothing(self):
        for attempt in range(5):
            process = start("convert", self.source, "-o", self.output, *ARGUMENTS, "--threads", 1)
            wait_for_file(partial(self.output), process)
            process.send_signal(signal.SIGALRM)  # as when the time for an orderly end is over
            _, errors = process.communicate()
            if process.returncode != OK:  # else it was complete before the signal came
                break
            self.output.unlink()
        self.assertEqual(process.returncode, INTERRUPTED, errors)
        self.assertEqual(errors.decode(), "halftone: interrupted\n")
        self.assert_nothing_left(self.output)

    def test_a_run_that_waits_stops_by_every_signal(self):
        """It waits for somebody to read what it prints."""
        source = st.write(self.folder / "many.safetensors", {f"{i}.weight": st.Tensor("BF16", (16, 16), bytes(512)) for i in range(3000)})
        for signals in ((signal.SIGINT,), (signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGTERM, signal.SIGTERM)):
            with self.subTest(signals):
                process = start("convert", source, "-o", self.output, *ARGUMENTS, "--force", "--json")
                self.addCleanup(process.communicate)
                wait_for_file(self.output, process)
                time.sleep(0.5)
                self.assertIsNone(process.poll(), "it waits for nobody")
                begin = time.monotonic()
                for number in signals:
                    process.send_signal(number)
                    time.sleep(0.2)
                self.assertEqual(process.wait(timeout=60), INTERRUPTED)
                if len(signals) == 2:
                    self.assertLess(time.monotonic() - begin, 4, "the second signal waited, too")
                self.assertFalse(partial(self.output).exists())
                self.output.unlink()

    def test_input_that_shrinks(self):
        process = start("convert", self.source, "-o", self.output, *ARGUMENTS, "--threads", 1)
        if wait_for_file(partial(self.output), process):
            process.send_signal(signal.SIGSTOP)
            os.truncate(self.source, 1 << 20)
            process.send_signal(signal.SIGCONT)
        _, errors = process.communicate()
        if process.returncode == OK:
            self.assertEqual(sha256(self.output), self.complete)
        else:
            self.assertEqual(process.returncode, IO_ERROR, errors)
            self.assertIn(str(self.source), errors.decode())
            self.assertFalse(self.output.exists())


def umask():
    current = os.umask(0o022)
    os.umask(current)
    return current


if __name__ == "__main__":
    unittest.main()
