"""Whole commands against their limits: `cp` of the same file in the same run, and fixed bounds.

    commands.py PROGRAM [--gib N] [--folder DIR] [--runs N] [--threads N] [--json FILE]

Each result is checked before it is timed: a small model must equal the numpy reference of the
end-to-end tests, and every timed output must have the size that `plan` predicts.
"""
import argparse
import json
import os
import platform
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "e2e"))
import reference  # noqa: E402
import reference_blocks  # noqa: E402
import safetensors_file  # noqa: E402

FORMATS = [*reference.FORMATS, *reference_blocks.FORMATS]
SHAPES = [(3072, 3072), (12288, 3072), (3072, 12288), (9216, 3072)]  # layers of a 12 B diffusion transformer


def bf16(values):
    """The bytes of float32 values rounded to bfloat16 (half up: any bfloat16 will do here)."""
    return ((values.view(np.uint32) + 0x8000) >> 16).astype(np.uint16).tobytes()


def write_model(path, n_bytes):
    """A BF16 model of at least n_bytes with the layer shapes of SHAPES."""
    tensors, offset = {}, 0
    while offset < n_bytes:
        shape = SHAPES[len(tensors) % len(SHAPES)]
        end = offset + 2 * shape[0] * shape[1]
        tensors[f"blocks.{len(tensors)}.fc.weight"] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    header = json.dumps(tensors).encode()
    header += b" " * (-len(header) % 8)
    chunk = bf16(np.random.default_rng(0).normal(0, 0.02, 1 << 24).astype(np.float32))
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        while offset > 0:
            file.write(chunk[:offset])
            offset -= len(chunk)


def write_sparse_model(path, n_tensors=2000, n_bytes=100 * 10**9):
    """The header of a huge model; the data is a hole."""
    shape = (n_bytes // n_tensors // 2000, 1000)
    safetensors_file.write_sparse(path, [(f"model.diffusion_model.blocks.{i // 8}.part{i % 8}.weight", "BF16", shape)
                                         for i in range(n_tensors)])


def run(*command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: exit {result.returncode}\n{result.stderr}")
    return result.stdout


def same(found, expected, share):
    """Whether two byte strings are equal but for a share of their bytes."""
    if len(found) != len(expected):
        return False
    different = np.frombuffer(found, np.uint8) != np.frombuffer(expected, np.uint8)
    return different.sum() <= share * different.size


def timed(work, output=None):
    """Seconds of work(); the output is removed first, outside the clock."""
    if output:
        output.unlink(missing_ok=True)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Bench:
    def __init__(self, arguments):
        self.program = Path(arguments.program).resolve()
        self.folder = Path(tempfile.mkdtemp(dir=arguments.folder))
        self.runs = arguments.runs
        self.extra = ["--threads", str(arguments.threads)] if arguments.threads else []
        self.rows = []

    def convert(self, source, output, fmt, *options):
        return json.loads(run(self.program, "convert", source, "-o", output, "--format", fmt, "--preset", "none", "--quiet",
                              "--json", "--force", *self.extra, *options))

    def check_result(self, fmt):
        """A small model of the same layers, cut down, must equal the reference byte for byte."""
        values = np.random.default_rng(1).normal(0, 0.02, (256, 512)).astype(np.float32)
        tensors = {"a.weight": safetensors_file.Tensor("BF16", (256, 512), bf16(values))}
        source, output = self.folder / "small.safetensors", self.folder / "small-out.safetensors"
        safetensors_file.write(source, tensors)
        self.convert(source, output, fmt)
        expected = (reference_blocks if fmt in reference_blocks.FORMATS else reference).convert(tensors, fmt)
        found = safetensors_file.read(output).tensors
        rotated = fmt in reference_blocks.ROTATED  # sums in another order: the last bit of a few codes and scales
        equal = set(found) == set(expected) and all(
            same(found[name].data, expected[name].data, 0.01 if rotated else 0) for name in expected)
        if not equal:
            sys.exit(f"{fmt}: the result differs from the reference; nothing was timed")

    def add(self, what, seconds, limit, limit_name, **more):
        self.rows.append({"what": what, "seconds": seconds, "limit_seconds": limit, "limit": limit_name, **more})
        bound = f"{seconds / limit:6.2f} x {limit_name} ({limit * 1e3:.1f} ms)"
        print(f"{what:<34} {seconds * 1e3:9.1f} ms  {bound}  {more if more else ''}", flush=True)

    def conversions(self, gib):
        source, copied, output = (self.folder / name for name in ("in.safetensors", "copy", "out.safetensors"))
        write_model(source, int(gib * 2**30))
        n_bytes = source.stat().st_size
        for fmt in FORMATS:
            self.check_result(fmt)
            copies, conversions = [], []
            for _ in range(self.runs):
                copies.append(timed(lambda: run("cp", source, copied), copied))
                copied.unlink()
                conversions.append(timed(lambda: self.convert(source, output, fmt), output))
                report = self.convert(source, output, fmt, "--dry-run")
                if output.stat().st_size != report["output"]["bytes"]:
                    sys.exit(f"{fmt}: the output has not the size that the plan predicts")
                output.unlink()
            best = statistics.median(conversions)
            self.add(f"convert {fmt}, {gib} GiB BF16", best, statistics.median(copies), "cp",
                     fastest=min(conversions), fastest_cp=min(copies), gb_per_s=n_bytes / best / 1e9)
        for memory, bound in (("1GiB", 300 << 20), ("64MiB", 64 << 20)):
            peak = self.convert(source, output, "fp8-row", "--memory", memory)["peak_host_bytes"]
            print(f"anonymous memory with --memory {memory:<6} {peak / 2**20:.1f} MiB (at most {bound >> 20})")
            self.rows.append({"what": f"anonymous memory, --memory {memory}", "bytes": peak, "limit_bytes": bound})
            output.unlink()
        source.unlink()

    def commands(self):
        sparse = self.folder / "sparse.safetensors"
        write_sparse_model(sparse)
        for what, limit, words in (("plan", 0.050, ["plan", sparse, "--format", "fp8"]), ("inspect", 0.050, ["inspect", sparse]),
                                   ("--version", 0.010, ["--version"])):
            seconds = statistics.median(timed(lambda: run(self.program, *words)) for _ in range(self.runs * 3))
            self.add(f"{what}, 2000 tensors, 100 GB" if len(words) > 1 else what, seconds, limit, "bound")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--gib", type=float, default=2)
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    try:
        bench.commands()
        bench.conversions(arguments.gib)
    finally:
        shutil.rmtree(bench.folder, ignore_errors=True)
    if arguments.json:
        device = {"machine": platform.machine(), "cores": os.cpu_count(), "kernel": ".".join(platform.release().split(".")[:2])}
        Path(arguments.json).write_text(json.dumps({"device": device, "runs": arguments.runs, "rows": bench.rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
