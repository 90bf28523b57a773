"""Runs the program halftone."""

import json
import subprocess


class Halftone:
    def __init__(self, path):
        self._path = path

    def _run(self, *arguments):
        command = [str(self._path), *map(str, arguments)]
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError as error:
            raise SystemExit(
                f"collect_stats: cannot run '{self._path}': {error.strerror}; --halftone names the program"
            ) from None
        if done.returncode != 0:
            raise SystemExit(
                f"collect_stats: '{' '.join(command)}' ended with exit status {done.returncode}:\n{done.stderr.strip()}"
            )
        return done.stdout

    def convert(self, source, out, *options):
        return json.loads(self._run("convert", source, "-o", out, "--json", "--quiet", *options))

    def dequantize(self, source, out):
        self._run("dequantize", source, "-o", out, "--dtype", "f32", "--quiet")

    def quantized_layers(self, path):
        """The names of the quantized layers of a model, without `.weight`."""
        return [layer["name"] for layer in json.loads(self._run("inspect", path, "--json"))["layers"]]
