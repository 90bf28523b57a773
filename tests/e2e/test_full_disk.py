"""A disk that is full, or becomes full during the work, ends in exit code 4 and one sentence, never in a signal."""
import os
import shlex
import signal
import subprocess
import unittest

import models
import reference
import safetensors_file as st
from program import IO_ERROR, OK, ProgramTest, command, partial, start, wait_for_file

ARGUMENTS = ("--format", "fp8", "--preset", "none", "--quiet")


@unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
class SmallDisk(ProgramTest):
    def setUp(self):
        super().setUp()
        self.mount_point = self.folder / "disk"
        self.mount_point.mkdir()
        self.output = self.mount_point / "out.safetensors"

    def mount(self, *words):
        done = subprocess.run(["mount", *map(str, words), str(self.mount_point)], capture_output=True)
        if done.returncode != 0:
            self.skipTest(f"cannot mount: {done.stderr.decode().strip()}")
        self.addCleanup(subprocess.run, ["umount", str(self.mount_point)], check=True)

    def mount_tmpfs(self, megabytes):
        self.mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs")

    def mount_image(self, kind, megabytes):
        image = self.folder / "image"
        with open(image, "wb") as file:
            file.truncate(megabytes << 20)
        try:
            subprocess.run([f"mkfs.{kind}", "-q", "-F", str(image)], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            self.skipTest(f"cannot make an {kind} file system: {error}")
        self.mount("-o", "loop", image)

    def check_full(self):
        source = models.linear_stack(self.folder / "in.safetensors", layers=2)  # 16 MiB of output
        self.refuse("convert", source, "-o", self.output, *ARGUMENTS, code=IO_ERROR, says=["space|free"], path=self.output,
                    one_sentence=True)
        self.assert_nothing_left(self.output)
        (self.mount_point / "small").write_bytes(b"fits")  # the space was given back

    def check_filled_meanwhile(self):
        """Somebody else takes the rest of the disk while the program stands still."""
        source = models.linear_stack(self.folder / "in.safetensors", layers=12)  # 96 MiB of output
        process = start("convert", source, "-o", self.output, *ARGUMENTS, "--threads", 1)
        if wait_for_file(partial(self.output), process):
            process.send_signal(signal.SIGSTOP)
            self.fill()
            process.send_signal(signal.SIGCONT)
        _, errors = process.communicate()
        if process.returncode == OK:  # it had taken its space before
            weight = st.read(source).tensors["blocks.0.weight"]
            expected = reference.convert_layer("blocks.0.weight", weight, "fp8")
            actual = st.read(self.output).tensors
            for layer in range(12):
                name = f"blocks.{layer}.weight"
                self.assert_same(name, actual[name], expected["blocks.0.weight"])
        else:
            self.assertEqual(process.returncode, IO_ERROR, errors)
            self.assertEqual(len(errors.splitlines()), 1, errors)
            self.assert_nothing_left(self.output)

    def fill(self):
        with open(self.mount_point / "filler", "wb", buffering=0) as file:
            block = bytes(1 << 20)
            try:
                while file.write(block) == len(block):
                    pass
            except OSError:
                return  # full

    def test_full_tmpfs(self):
        for megabytes in (1, 15):
            with self.subTest(megabytes=megabytes):
                self.mount_tmpfs(megabytes)
                self.check_full()

    def test_full_ext4(self):
        self.mount_image("ext4", 16)
        self.check_full()

    def test_tmpfs_that_fills_up(self):
        self.mount_tmpfs(120)
        self.check_filled_meanwhile()

    def test_ext4_that_fills_up(self):
        self.mount_image("ext4", 140)
        self.check_filled_meanwhile()

    def test_file_system_without_reservation_that_fills_up(self):
        self.mount_image("ext2", 140)  # it has no fallocate
        self.check_filled_meanwhile()


class FileSizeLimit(ProgramTest):
    def test_limit_on_the_file_size(self):
        source = models.linear_stack(self.folder / "in.safetensors", layers=2)
        output = self.folder / "out.safetensors"
        words = shlex.join(command(("convert", source, "-o", output, *ARGUMENTS)))
        done = subprocess.run(["sh", "-c", f"ulimit -f 8192; exec {words}"], capture_output=True)  # 4 or 8 MiB
        self.assertEqual(done.returncode, IO_ERROR, done.stderr)
        self.assert_nothing_left(output)


if __name__ == "__main__":
    unittest.main()
