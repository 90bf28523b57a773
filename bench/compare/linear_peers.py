"""Linear layers of other libraries beside Halftone's, on one GPU in one run.

    linear_peers.py PROGRAM [--shapes MxNxK,...] [--formats FORMAT,...] [--json FILE]

PROGRAM is the halftone program; `bench --ops linear` gives our figures.  PyTorch is needed; comfy-kitchen and bitsandbytes are
measured where they are installed.  Each figure is the median of some CUDA graphs of 20 calls, the second-level cache warm, as
in `bench`.  Peers are timed before and after Halftone: clocks fall while a GPU grows warm.  What a peer computes is compared with a product in binary64 of some rows and columns before it is timed.
"""
import argparse
import json
import statistics
import subprocess
from pathlib import Path

import torch

CALLS = 20
GRAPHS = 7


def graph_seconds(work):
    """Median seconds of one call among those of a graph; of calls alone where they cannot be recorded."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(CALLS):
            work()
    times = []
    for _ in range(GRAPHS):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end) * 1e-3 / CALLS)
    return statistics.median(times)


def fp8(values, scale):
    return (values.float() / scale).clamp(-448, 448).to(torch.float8_e4m3fn)


class Peers:
    def __init__(self, shape):
        self.m, self.n, self.k = shape
        torch.manual_seed(0)
        self.x = torch.randn(self.m, self.k, device="cuda").to(torch.bfloat16)
        self.weight = (torch.randn(self.n, self.k, device="cuda") * 0.02).to(torch.bfloat16)
        self.rows = []

    def is_close(self, y, tolerance):
        """Whether some of the outputs are those of the unquantized product but for the noise of quantization."""
        rows = torch.linspace(0, self.m - 1, min(self.m, 16), device="cuda").long()
        columns = torch.linspace(0, self.n - 1, min(self.n, 16), device="cuda").long()
        exact = self.x[rows].double() @ self.weight[columns].double().T
        noise = (y[rows][:, columns].double() - exact).norm() / exact.norm()
        return noise.item() < tolerance

    def add(self, what, work, tolerance):
        """Times `work`, which gives the outputs; `tolerance` is the noise that its codes may have."""
        try:
            found = work()
            if tolerance is not None and not self.is_close(found, tolerance):
                print(f"{what}: differs from a plain product, not timed")
                return
            seconds = graph_seconds(work)
        except Exception as error:  # a peer that cannot do this shape is no reason to stop
            print(f"{what}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
            torch.cuda.synchronize()
            return
        tflops = 2e-12 * self.m * self.n * self.k / seconds
        self.rows.append({"what": what, "m": self.m, "n": self.n, "k": self.k, "seconds": seconds, "tflops": tflops})
        print(f"{self.m:>5} x {self.n:>5} x {self.k:>5}  {what:<44} {seconds * 1e6:9.1f} us {tflops:7.0f} TFLOP/s", flush=True)

    def pytorch(self):
        x, weight = self.x, self.weight
        self.add("torch BF16", lambda: x @ weight.T, 0.01)
        one = torch.tensor(0.01, device="cuda")
        codes, w_codes = fp8(x, 0.01), fp8(weight, 0.0002)
        w_one = torch.tensor(0.0002, device="cuda")
        kind = torch.bfloat16
        self.add("torch._scaled_mm per tensor",
                 lambda: torch._scaled_mm(codes, w_codes.T, scale_a=one, scale_b=w_one, out_dtype=kind), 0.1)
        self.add("torch._scaled_mm per tensor, fast sums",
                 lambda: torch._scaled_mm(codes, w_codes.T, scale_a=one, scale_b=w_one, out_dtype=kind, use_fast_accum=True), 0.1)
        x_rows = x.float().abs().amax(1, keepdim=True) / 448
        w_rows = weight.float().abs().amax(1, keepdim=True) / 448
        xr, wr, w_columns = fp8(x, x_rows), fp8(weight, w_rows), w_rows.T.contiguous()
        self.add("torch._scaled_mm per row",
                 lambda: torch._scaled_mm(xr, wr.T, scale_a=x_rows, scale_b=w_columns, out_dtype=kind), 0.1)
        self.add("torch._scaled_mm per row, fast sums",
                 lambda: torch._scaled_mm(xr, wr.T, scale_a=x_rows, scale_b=w_columns, out_dtype=kind, use_fast_accum=True), 0.1)
        self.blocks()
        if self.m > 16:
            a = (x.float() / 0.03).round().clamp(-127, 127).to(torch.int8)
            b = (weight.float() / 0.0007).round().clamp(-127, 127).to(torch.int8)
            self.add("torch._int_mm (INT32 out)", lambda: torch._int_mm(a, b.T), None)

    def blocks(self):
        """Scales of 1 × 128 inputs and 128 × 128 weights."""
        if self.k % 128 or self.n % 128:
            return
        runs = self.x.float().view(self.m, -1, 128).abs().amax(2) / 448
        codes = fp8(self.x.float().view(self.m, -1, 128), runs[:, :, None]).view(self.m, self.k)
        grid = self.weight.float().view(self.n // 128, 128, -1, 128)
        tiles = grid.abs().amax((1, 3)) / 448
        w_codes = fp8(grid, tiles[:, None, :, None]).view(self.n, self.k)
        outer = runs.T.contiguous().T
        pad = -tiles.shape[1] % 4
        spread = torch.nn.functional.pad(tiles, (0, pad))[:, : tiles.shape[1]]
        for name, scales in (("", tiles.T), (", padded scales", spread.T)):
            self.add(f"torch._scaled_mm 1x128 by 128x128{name}",
                     lambda scales=scales: torch._scaled_mm(codes, w_codes.T, scale_a=outer, scale_b=scales, out_dtype=torch.bfloat16), 0.1)

    def comfy_kitchen(self):
        try:
            import comfy_kitchen as kitchen
        except ImportError as missing:
            print(f"comfy-kitchen is not installed ({missing})")
            return
        codes, scales = kitchen.quantize_int8_rowwise(self.weight)
        if hasattr(kitchen, "int8_linear"):
            self.add("comfy-kitchen int8_linear", lambda: kitchen.int8_linear(self.x, codes, scales), 0.05)

    def bitsandbytes(self):
        try:
            from bitsandbytes.functional import quantize_4bit
            import bitsandbytes
        except ImportError as missing:
            print(f"bitsandbytes is not installed ({missing})")
            return
        codes, state = quantize_4bit(self.weight, blocksize=64, quant_type="nf4")
        self.add("bitsandbytes NF4", lambda: bitsandbytes.matmul_4bit(self.x, codes.t(), quant_state=state), 0.2)


def peers_of(text):
    """The times of all peers for a shape, MxNxK."""
    peers = Peers(tuple(int(extent) for extent in text.split("x")))
    peers.pytorch()
    peers.comfy_kitchen()
    peers.bitsandbytes()
    torch.cuda.empty_cache()
    return peers.rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program")
    parser.add_argument("--shapes", default="8192x8192x8192,4096x12288x3072,4096x3072x3072,256x3072x3072,1x12288x4096,1x4096x12288")
    parser.add_argument("--formats", help="of Halftone's, as its bench takes them (default all)")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, CUDA {torch.version.cuda}")
    rows = []
    ours = []
    failed = False
    for text in arguments.shapes.split(","):
        rows += peers_of(text)
        command = [arguments.program, "bench", "--ops", "linear", "--shapes", text, "--json"]
        command += ["--formats", arguments.formats] if arguments.formats else []
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode != 0:
            failed = True
            print(f"halftone {text}: exit status {run.returncode}: {run.stderr.strip()}", flush=True)
            continue
        found = json.loads(run.stdout)["linear"]
        ours += found
        for row in found:
            what = f"halftone {row['format']} {'quantized' if row['quantized_inputs'] else 'plain'}"
            print(f"{row['m']:>5} x {row['n']:>5} x {row['k']:>5}  {what:<44} {row['seconds'] * 1e6:9.1f} us {row['tflops']:7.0f} TFLOP/s"
                  f", product {row['product_seconds'] * 1e6:9.1f} us {row['product_tflops']:7.0f} TFLOP/s  {row['method']}", flush=True)
        rows += peers_of(text)
    if arguments.json:
        report = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "peers": rows, "halftone": ours}
        Path(arguments.json).write_text(json.dumps(report, indent=1) + "\n")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
