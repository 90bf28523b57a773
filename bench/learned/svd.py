#!/usr/bin/env python3
"""Holds the randomized bases of learned rounding against the exact singular vectors and torch.svd_lowrank, and times both.

    svd.py BENCH [--size 4096] [--device cuda]

BENCH is the program halftone_solver_bench, whose lines are printed, too.  The layer is one of solver.py's.  What a basis
captures is the mean squared length of the leading left singular vectors within it.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import numpy
import torch
from solver import make_weight


def captured(basis, exact):
    return ((torch.linalg.qr(basis).Q.T @ exact).norm() ** 2 / exact.shape[1]).item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    where = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(where).manual_seed(1)
    n = options.size
    weight, _ = make_weight(n, generator, where)
    left = torch.linalg.svd(weight)[0]

    def wait():
        if where == "cuda":
            torch.cuda.synchronize()

    for k in (16, min(1280, max(256, n // 5))):
        seconds = []
        for _ in range(4):
            wait()
            begin = time.perf_counter()
            found = torch.svd_lowrank(weight, q=k + 10, niter=4)[0][:, :k]
            wait()
            seconds.append(time.perf_counter() - begin)
        print(f"torch.svd_lowrank, rank {k}: {sorted(seconds[1:])[1] * 1e3:.2f} ms, captures {captured(found, left[:, :k]):.4f}", flush=True)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        file = Path(folder) / "weight"
        weight.cpu().numpy().tofile(file)
        del found
        subprocess.run([options.bench, options.device, file, str(n), str(n), Path(folder) / "basis"], check=True)
        for path in sorted(Path(folder).glob("basis.*")):
            rank = int(path.suffixes[0][1:])
            basis = torch.from_numpy(numpy.fromfile(path, dtype=numpy.float32).reshape(n, rank)).to(where)
            gram = basis.T @ basis
            print(f"{path.name}: captures {captured(basis, left[:, :rank]):.4f}, "
                  f"off orthonormality {(gram - torch.eye(rank, device=where)).abs().max().item():.1e}", flush=True)


if __name__ == "__main__":
    main()
