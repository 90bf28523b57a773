"""The kernels of other libraries beside Halftone's, on one GPU in one run.

    peers.py PROGRAM [--rows N] [--columns N] [--repeats N] [--json FILE]

PROGRAM is the halftone program; its `bench` gives our figures.  PyTorch is needed; comfy-kitchen and bitsandbytes are
measured where they are installed.  Figures are GB/s of necessary bytes (each input read once, each output written once) and % of a device
copy.  What a peer computes is compared with a plain float32 computation before it is timed.
"""
import argparse
import json
import statistics
import subprocess
from pathlib import Path

import torch


def seconds(work, repeats):
    """Median seconds of one call on the device, after three that are not counted."""
    times = []
    for _ in range(3):
        work()
    for _ in range(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(times)


def fp8(weight, scale):
    return (weight.float() * scale).clamp(-448, 448).to(torch.float8_e4m3fn)


def fp8_measured(weight):
    return fp8(weight, 448 / weight.abs().amax().float().clamp(min=1e-12))


def int8_row(weight):
    scale = weight.abs().amax(dim=1, keepdim=True).float().clamp(min=1e-12) / 127
    return (weight.float() / scale).round().clamp(-127, 127).to(torch.int8), scale


def dequantized(codes, scale):
    return (codes.float() * scale).to(torch.bfloat16)


class Peers:
    def __init__(self, arguments):
        torch.manual_seed(0)
        self.repeats = arguments.repeats
        self.weight = (torch.randn(arguments.rows, arguments.columns, device="cuda") * 0.02).to(torch.bfloat16)
        self.n = self.weight.numel()
        self.rows = []
        self.copy = None

    def add(self, what, work, n_bytes, close=None):
        """Times `work`; `close` says whether its result is what it should be."""
        if close is not None and not close(work()):
            print(f"{what:<44} differs from a plain computation: not timed")
            return
        rate = n_bytes / seconds(work, self.repeats) / 1e9
        self.copy = self.copy or rate
        self.rows.append({"what": what, "gb_per_s": rate, "percent_of_copy": 100 * rate / self.copy})
        print(f"{what:<44} {rate:8.0f} GB/s  {100 * rate / self.copy:5.1f} % of a copy")

    def pytorch(self):
        weight, n = self.weight, self.n
        target = torch.empty_like(weight)
        self.add("device copy, BF16", lambda: target.copy_(weight), 4 * n)
        scale = torch.tensor(100.0, device="cuda")
        for name, wrap in (("eager", lambda f: f), ("torch.compile", torch.compile)):
            given, measured, rows = wrap(fp8), wrap(fp8_measured), wrap(int8_row)
            self.add(f"fp8, scale given, {name}", lambda: given(weight, scale), 3 * n)
            self.add(f"fp8, measured, {name}", lambda: measured(weight), 3 * n)
            self.add(f"int8-row, {name}", lambda: rows(weight), 3 * n)
            codes, row_scale = int8_row(weight)
            back = wrap(dequantized)
            self.add(f"int8-row -> BF16, {name}", lambda: back(codes, row_scale), 3 * n)

    def comfy_kitchen(self):
        try:
            import comfy_kitchen as kitchen
            from comfy_kitchen.backends.cuda import quantize_int8_convrot_weight
        except ImportError as missing:
            print(f"comfy-kitchen is not installed ({missing})")
            return
        weight, n = self.weight, self.n
        scale = torch.tensor(0.01, device="cuda")
        plain = fp8(weight, 100.0).float()
        self.add("fp8, scale given, comfy-kitchen", lambda: kitchen.quantize_per_tensor_fp8(weight, scale), 3 * n,
                 lambda found: (found.float() - plain).abs().max() <= 32)
        codes, row_scale = int8_row(weight)
        self.add("int8-row, comfy-kitchen", lambda: kitchen.quantize_int8_rowwise(weight), 3 * n,
                 lambda found: (found[0].int() - codes.int()).abs().max() <= 1)
        self.add("int8-row -> BF16, comfy-kitchen", lambda: kitchen.dequantize_int8_simple(codes, row_scale), 3 * n)
        self.add("mxfp8, comfy-kitchen", lambda: kitchen.quantize_mxfp8(weight), 3 * n + n // 32)
        whole = (weight.abs().amax().float() / 2688).reshape(())
        self.add("nvfp4, scale given, comfy-kitchen", lambda: kitchen.quantize_nvfp4(weight, whole), 2 * n + n // 2 + n // 16)
        self.add("int8-convrot, comfy-kitchen", lambda: quantize_int8_convrot_weight(weight, 256), 3 * n)
        self.add("w4a4-convrot, comfy-kitchen", lambda: kitchen.quantize_convrot_w4a4_weight(weight), 2 * n + n // 2)

    def bitsandbytes(self):
        try:
            from bitsandbytes.functional import dequantize_4bit, quantize_4bit
        except ImportError as missing:
            print(f"bitsandbytes is not installed ({missing})")
            return
        weight = self.weight
        n_bytes = 2 * self.n + self.n // 2 + self.n // 16
        for kind in ("nf4", "fp4"):
            self.add(f"{kind}, bitsandbytes", lambda kind=kind: quantize_4bit(weight, blocksize=64, quant_type=kind), n_bytes)
            codes, state = quantize_4bit(weight, blocksize=64, quant_type=kind)
            self.add(f"{kind} -> BF16, bitsandbytes", lambda codes=codes, state=state: dequantize_4bit(codes, state), n_bytes)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--rows", type=int, default=8192)
    parser.add_argument("--columns", type=int, default=8192)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, {arguments.rows} x {arguments.columns}")
    peers = Peers(arguments)
    peers.pytorch()
    peers.comfy_kitchen()
    peers.bitsandbytes()
    size = ["--rows", str(arguments.rows), "--columns", str(arguments.columns), "--repeats", str(arguments.repeats)]
    ours = json.loads(subprocess.run([arguments.program, "bench", "--json", *size], check=True, capture_output=True, text=True).stdout)
    for row in ours["kernels"]:
        what = " ".join(word for word in (row["kernel"], row["format"], row["source"], row["target"]) if word)
        print(f"halftone {what:<35} {row['gb_per_s']:8.0f} GB/s  {row['percent_of_copy']:5.1f} % of a copy")
    if arguments.json:
        report = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "peers": peers.rows, "halftone": ours["kernels"]}
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
