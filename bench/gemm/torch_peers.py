#!/usr/bin/env python3
"""Times the matrix products of PyTorch (cuBLAS, cuBLASLt) at the shapes of gemm_timing."""
import statistics
import sys
import time

import torch

SHAPES = [(8192, 8192, 8192), (4096, 12288, 3072), (4096, 3072, 12288), (4096, 3072, 3072), (256, 3072, 3072), (32, 12288, 3072), (32, 3072, 12288)]


def random_int8(rows, columns):
    return torch.randint(-128, 128, (rows, columns), dtype=torch.int8, device="cuda")


def random_fp8(rows, columns):
    codes = torch.randint(0, 256, (rows, columns), dtype=torch.uint8, device="cuda")
    codes[(codes & 0x7F) == 0x7F] = 0
    return codes.view(torch.float8_e4m3fn)


def warm(function, operations):
    time.sleep(0.2 if operations > 2e11 else 0.05)  # as gemm_timing does
    for _ in range(3):
        function()
    count = max(3, int(0.015 / (operations / 0.8e15 + 5e-6)))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(count):
            function()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    graph.replay()
    begin.record()
    graph.replay()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / count * 1e-3


def cold(function):
    flush = torch.empty(256 << 20, dtype=torch.uint8, device="cuda")
    seconds = []
    for i in range(7):
        flush.fill_(i)
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        function()
        end.record()
        end.synchronize()
        seconds.append(begin.elapsed_time(end) * 1e-3)
    return statistics.median(seconds)


def report(name, shape, make):
    operations = 2 * shape[0] * shape[1] * shape[2]
    try:
        function = make()
        function()
        a, b = warm(function, operations), cold(function)
        print(f"{name:55} warm {a * 1e6:8.1f} us {operations / a * 1e-12:7.1f} T/s  cold {b * 1e6:8.1f} us {operations / b * 1e-12:7.1f} T/s", flush=True)
    except Exception as error:  # this build or this GPU has no such product
        print(f"{name:55} {type(error).__name__}: {str(error).splitlines()[0][:150]}", flush=True)


def int_mm(m, n, k):
    a, b = random_int8(m, k), random_int8(n, k).t()
    return lambda: torch._int_mm(a, b)


def scaled_mm(m, n, k, fast, scales):
    a, b = random_fp8(m, k), random_fp8(n, k).t()
    if scales == "tensor":
        sa, sb = torch.ones((), device="cuda"), torch.ones((), device="cuda")
    elif scales == "rows":
        sa, sb = torch.ones((m, 1), device="cuda"), torch.ones((1, n), device="cuda")
    else:
        sa = torch.ones((k // 128, m), device="cuda").t()
        sb = torch.ones((n // 128, k // 128), device="cuda").t()
    return lambda: torch._scaled_mm(a, b, scale_a=sa, scale_b=sb, out_dtype=torch.bfloat16, use_fast_accum=fast)


def main():
    print("torch", torch.__version__, "CUDA", torch.version.cuda, torch.cuda.get_device_name())
    for shape in SHAPES:
        print("==", "x".join(map(str, shape)))
        report("torch._int_mm", shape, lambda: int_mm(*shape))
        report("torch._scaled_mm, one scale, fast sums", shape, lambda: scaled_mm(*shape, True, "tensor"))
        report("torch._scaled_mm, one scale", shape, lambda: scaled_mm(*shape, False, "tensor"))
        report("torch._scaled_mm, scales of rows, fast sums", shape, lambda: scaled_mm(*shape, True, "rows"))
        report("torch._scaled_mm, 1x128 and 128x128", shape, lambda: scaled_mm(*shape, False, "blocks"))


if __name__ == "__main__":
    sys.exit(main())
