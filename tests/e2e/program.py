"""Runs the program under test: exit codes, streams, JSON, files left behind.

HALFTONE_BIN names the binary (default: build/halftone). HALFTONE_TEST_DEVICE adds `--device` to every conversion,
HALFTONE_TEST_TIMEOUT replaces the limit per run in seconds, HALFTONE_TEST_SEED the seed of random tests.
"""
from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterable, Mapping

import numpy as np

import safetensors_file as st

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("HALFTONE_BIN", REPOSITORY / "build" / "halftone")).absolute()
DEVICE = os.environ.get("HALFTONE_TEST_DEVICE")
TIMEOUT_SECONDS = float(os.environ.get("HALFTONE_TEST_TIMEOUT", 120))
SEED = int(os.environ.get("HALFTONE_TEST_SEED", 20260722))

OK, DIFFERENT, USAGE, BAD_INPUT, IO_ERROR, UNSUPPORTED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


@dataclass(frozen=True)
class Result:
    arguments: tuple[str, ...]
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)

    def __str__(self) -> str:
        return (f"halftone {' '.join(self.arguments)}\nexit code {self.code}\n"
                f"--- stdout\n{self.stdout[-2000:]}\n--- stderr\n{self.stderr[-2000:]}")


def command(arguments: Iterable[Any]) -> list[str]:
    words = [str(argument) for argument in arguments]
    if DEVICE and words and words[0] == "convert":
        words += ["--device", DEVICE]
    return [str(BINARY), *words]


def run(*arguments: Any, **options: Any) -> Result:
    words = command(arguments)
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_SECONDS, **options)
    return Result(tuple(words[1:]), done.returncode, done.stdout.decode("utf-8", "replace"),
                  done.stderr.decode("utf-8", "replace"))


def start(*arguments: Any) -> subprocess.Popen:
    """Starts a run to be interrupted; SIGINT is as in a terminal even when the tests run in the background."""
    return subprocess.Popen(command(arguments), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))


def wait_for_file(path: Path, process: subprocess.Popen) -> bool:
    """Waits until `path` exists; False when the process ended first."""
    while process.poll() is None:
        if path.exists():
            return True
        time.sleep(0.0005)
    return path.exists()


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def partial(output: Path) -> Path:
    return output.with_name(output.name + ".partial")


class ProgramTest(unittest.TestCase):
    """A test with the program and a folder of its own."""
    maxDiff = None

    @classmethod
    def setUpClass(cls) -> None:
        if not os.access(BINARY, os.X_OK):
            if "HALFTONE_BIN" in os.environ:
                raise RuntimeError(f"HALFTONE_BIN={BINARY} is not an executable file")
            raise unittest.SkipTest(f"{BINARY} is not built (set HALFTONE_BIN)")

    def setUp(self) -> None:
        self.folder = self.new_folder()

    def new_folder(self, big: bool = False) -> Path:
        """An empty folder, removed after the test; a big one is in memory where the machine has room there."""
        shared_memory = Path("/dev/shm")
        roomy = shared_memory.is_dir() and shutil.disk_usage(shared_memory).free > 2 * 1024**3
        folder = tempfile.mkdtemp(prefix="halftone-", dir=shared_memory if big and roomy else None)
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def check(self, *arguments: Any, code: int | tuple[int, ...] = OK, **options: Any) -> Result:
        """Runs and checks the exit code."""
        result = run(*arguments, **options)
        allowed = code if isinstance(code, tuple) else (code,)
        self.assertIn(result.code, allowed, f"expected exit code {allowed}\n{result}")
        return result

    def convert(self, source: Path, fmt: str, *options: Any, output: Path | None = None) -> Path:
        output = output or self.folder / "out.safetensors"
        self.check("convert", source, "-o", output, "--format", fmt, "--preset", "none", "--force", "--quiet", *options)
        return output

    def refuse(self, *arguments: Any, code: int | tuple[int, ...], says: Iterable[str] = (),
               path: Path | None = None, one_sentence: bool = False) -> Result:
        """Runs and checks that it stops with `code` and a message matching every pattern of `says`."""
        result = self.check(*arguments, code=code)
        if path is not None:
            self.assertIn(str(path), result.stderr, f"the message does not name the file\n{result}")
        for pattern in says:
            self.assertRegex(result.stderr, re.compile(pattern, re.IGNORECASE), f"{result}")
        if one_sentence:
            self.assertEqual(len(result.stderr.strip().splitlines()), 1, f"one sentence expected\n{result}")
        return result

    def assert_holds(self, path: Path, expected: Mapping[str, st.Tensor]) -> None:
        """The file holds exactly these tensors: names, dtypes, shapes, bytes."""
        actual = st.read(path).tensors
        self.assertEqual(sorted(actual), sorted(expected))
        for name, tensor in expected.items():
            self.assert_same(name, actual[name], tensor)

    def assert_same(self, name: str, actual: st.Tensor, expected: st.Tensor) -> None:
        self.assertEqual((actual.dtype, actual.shape), (expected.dtype, expected.shape), name)
        if actual.data != expected.data:
            stored = np.dtype({8: "u1", 16: "<u2", 32: "<u4", 64: "<u8"}[st.DTYPE_BITS[actual.dtype]])
            ours, theirs = np.frombuffer(actual.data, stored), np.frombuffer(expected.data, stored)
            where = np.flatnonzero(ours != theirs)
            place = tuple(int(i) for i in np.unravel_index(where[0], actual.shape))
            self.fail(f"{name}: {where.size} of {ours.size} elements differ, first at {place}: "
                      f"{ours[where[0]]:#x}, expected {theirs[where[0]]:#x}")

    def assert_nothing_left(self, output: Path) -> None:
        left = [entry.name for entry in output.parent.glob(output.name + "*")]
        self.assertEqual(left, [], "files left behind")
