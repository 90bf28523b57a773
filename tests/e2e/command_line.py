"""The common part of tests of the command line: a small model, its plan, its refusals."""
from __future__ import annotations

import numpy as np

import models
import reference
import safetensors_file as st
from program import SEED, USAGE, ProgramTest


class CommandLineTest(ProgramTest):
    """A test with a small model; `plan` and `convert` without presets."""

    def setUp(self):
        super().setUp()
        self.model = models.transformer(np.random.default_rng(SEED))
        self.source = st.write(self.folder / "in.safetensors", self.model, {"format": "pt"})
        self.output = self.folder / "out.safetensors"
        self.weights = sorted(name for name, tensor in self.model.items() if reference.is_candidate(name, tensor))

    def plan(self, *options, source=None, fmt="fp8", preset="none", **keywords):
        words = ("--format", fmt, "--preset", preset, "--json", *options)
        return self.check("plan", source or self.source, *words, **keywords).json

    def actions(self, *options, **keywords):
        return {layer["name"]: layer["action"] for layer in self.plan(*options, **keywords)["layers"]}

    def refuse_convert(self, *options, code=USAGE, says=()):
        result = self.refuse("convert", self.source, "-o", self.output, *options, code=code, says=says)
        self.assert_nothing_left(self.output)
        return result
