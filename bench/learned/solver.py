#!/usr/bin/env python3
"""Measures learned rounding on layers with a known spectrum, and recomputes what the program says of them.

    solver.py HALFTONE [--size 4096] [--device cuda] [--formats fp8,int8-row,nvfp4] [--json OUT]

Writes a model of layers of SIZE × SIZE (half of the energy in a spectrum i^-0.6, half in a bulk, F32 as BF16) and second
moments whose eigenvectors are those of the first layer, converts it with `project` and with `feedback`, reads the weights
back with `dequantize`, and computes outside: the loss in the exact basis of 0.2 · SIZE singular vectors, the squared error
and the output error, each relative to rounding to nearest.  PyTorch is used where it is there, on a GPU if there is one.
"""

import argparse
import json
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def run(*command):
    begin = time.perf_counter()
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr}{done.stdout}")
    return done.stdout, time.perf_counter() - begin


def orthogonal(n, generator, device):
    return torch.linalg.qr(torch.randn(n, n, generator=generator, device=device)).Q


def make_weight(n, generator, device):
    """The weight, and its right singular vectors before the bulk is added."""
    left, right = orthogonal(n, generator, device), orthogonal(n, generator, device)
    spectrum = torch.arange(1, n + 1, device=device).float() ** -0.6
    low = (left * spectrum) @ right.T
    low *= 0.02 * n**0.5 * n**0.5 / low.norm() / 2**0.5
    return low + torch.randn(n, n, generator=generator, device=device) * 0.02 / 2**0.5, right


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("halftone")
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--formats", default="fp8,int8-row,nvfp4")
    parser.add_argument("--effort", default="default")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--json")
    options = parser.parse_args()
    where = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(where).manual_seed(1)
    n = options.size
    results = []
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        folder = Path(folder)
        tensors = {}
        for i in range(options.layers):
            weight, right = make_weight(n, generator, where)
            tensors[f"blocks.{i}.fc.weight"] = weight.bfloat16().cpu()
            vectors = (torch.randn(8 * n, n, generator=generator, device=where) * torch.arange(1, n + 1, device=where).float() ** -0.5) @ right.T
            moment = vectors.T @ vectors / (8 * n)
            tensors[f"blocks.{i}.fc.second_moment"] = moment.cpu()
            tensors[f"blocks.{i}.fc.count"] = torch.tensor([8 * n])
        model, stats = folder / "m.safetensors", folder / "s.safetensors"
        save_file({k: v for k, v in tensors.items() if k.endswith("weight")}, model)
        save_file({k: v for k, v in tensors.items() if not k.endswith("weight")}, stats)
        name = "blocks.0.fc.weight"
        weight = tensors[name].float().to(where)
        moment = tensors["blocks.0.fc.second_moment"].to(where)
        u, _, vh = torch.linalg.svd(weight)
        k = min(1280, max(256, n // 5))
        u, v = u[:, :k], vh[:k].T

        def read(path):
            run(options.halftone, "dequantize", path, "--dtype", "f32", "-o", folder / "d.safetensors", "--force", "--quiet", "--device", "cpu")
            error = load_file(folder / "d.safetensors")[name].float().to(where) - weight
            return ((u.T @ error @ v).norm().item(), error.norm().item() ** 2, ((error @ moment) * error).sum().item())

        for fmt in options.formats.split(","):
            scales = ["--scales", "search"] if fmt in ("nvfp4", "nf4", "fp4") and options.device == "cpu" else []
            common = [model, "--format", fmt, "--preset", "none", "--device", options.device, "--force", "--quiet", "-o", folder / "q.safetensors"]
            run(options.halftone, "convert", *common, *scales)
            nearest = read(folder / "q.safetensors")
            for method, arguments in (("project", []), ("feedback", ["--stats", stats])):
                text, seconds = run(options.halftone, "convert", *common, *scales, "--rounding", "learned", "--effort", options.effort, "--json", *arguments)
                report = json.loads(text)
                layers = report["learned"]
                found = read(folder / "q.safetensors")
                row = {"format": fmt, "method": method, "size": n, "device": report["device"],
                       "layer_seconds": [round(layer["seconds"], 4) for layer in layers], "command_seconds": round(seconds, 3),
                       "own_loss": layers[0]["loss_ratio"], "exact_loss": found[0] / nearest[0], "mse": found[1] / nearest[1],
                       "said_mse": layers[0]["mse_ratio"], "output": found[2] / nearest[2], "said_output": layers[0]["output_error_ratio"],
                       "rank": layers[0]["rank"], "captured_energy": layers[0]["captured_energy"], "iterations": layers[0]["iterations"],
                       "timing": layers[-1].get("timing")}
                results.append(row)
                print(json.dumps(row), flush=True)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
