"""Commands that look only at headers answer at once, whatever the size of the data."""
import sys
import time
import unittest

import safetensors_file as st
from program import ProgramTest

HEADER_SECONDS = 0.5  # a loose bound for a busy machine; the benchmark measures the real figure
VERSION_SECONDS = 0.1
ATTEMPTS = 3  # the best of them counts: the others were disturbed


class Speed(ProgramTest):
    def best_time(self, *arguments):
        best = float("inf")
        for _ in range(ATTEMPTS):
            begin = time.monotonic()
            self.check(*arguments)
            best = min(best, time.monotonic() - begin)
        print(f"{self.id().split('.')[-1]}: {best * 1000:.1f} ms", file=sys.stderr)
        return best

    def huge_model(self):
        """2000 tensors of BF16, 100 GB, without a block on the disk."""
        path = self.folder / "huge.safetensors"
        try:
            st.write_sparse(path, [(f"model.layers.{i}.mlp.up_proj.weight", "BF16", (5000, 5000)) for i in range(2000)])
        except OSError as error:
            self.skipTest(f"no sparse files here: {error}")
        self.assertEqual(path.stat().st_size // 10**9, 100)
        return path

    def test_plan(self):
        seconds = self.best_time("plan", self.huge_model(), "--format", "fp8", "--preset", "none", "--json")
        self.assertLess(seconds, HEADER_SECONDS)

    def test_plan_with_recognition(self):
        self.assertLess(self.best_time("plan", self.huge_model(), "--format", "fp8", "--json"), HEADER_SECONDS)

    def test_inspect(self):
        self.assertLess(self.best_time("inspect", self.huge_model(), "--json"), HEADER_SECONDS)

    def test_version(self):
        self.assertLess(self.best_time("--version"), VERSION_SECONDS)


if __name__ == "__main__":
    unittest.main()
