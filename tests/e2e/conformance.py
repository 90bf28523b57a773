"""The reference converter's inputs and outputs, and the few places where it is wrong on purpose not to be followed."""
from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import safetensors_file as st

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL_SET = REPOSITORY / "tests" / "data" / "conformance"
FULL_SET = Path(os.environ.get("HALFTONE_SHARED", REPOSITORY.parent / "shared")) / "conformance"
FULL_SET_MISSING = f"the full reference set is not at {FULL_SET} (set HALFTONE_SHARED)"

# Name of the mode in the file name -> format and options of ours.
MODES = {
    "fp8_tensor": ("fp8", {}),
    "fp8_row": ("fp8-row", {}),
    "fp8_block64": ("fp8-block", {"block-size": 64}),
    "fp8_block128": ("fp8-block", {"block-size": 128}),
    "int8_tensor": ("int8", {}),
    "int8_row": ("int8-row", {}),
    "int8_block64": ("int8-block", {"block-size": 64}),
    "int8_block128": ("int8-block", {"block-size": 128}),
    "int8_row_convrot64": ("int8-convrot", {"rotation-group": 64}),
    "nvfp4": ("nvfp4", {}),
    "mxfp8": ("mxfp8", {}),
}
ZERO_LAYER = "blocks.9.zero"


@dataclass(frozen=True)
class Case:
    input: Path
    mode: str

    @property
    def name(self) -> str:
        return f"{self.input.stem}.{self.mode}"

    @property
    def output(self) -> Path:
        return self.input.with_name(self.name + ".safetensors")

    @property
    def format(self) -> str:
        return MODES[self.mode][0]

    @property
    def options(self) -> dict[str, int]:
        return MODES[self.mode][1]

    @property
    def arguments(self) -> list[str]:
        """The format and its options, as `ProgramTest.convert` takes them."""
        return [self.format] + [word for key, value in self.options.items() for word in (f"--{key}", str(value))]

    def expected(self) -> dict[str, st.Tensor]:
        """What the output must hold: the reference's tensors, with its known errors put right."""
        tensors = dict(st.read(self.output).tensors)
        zero = ZERO_LAYER + ".weight"
        if self.mode.startswith("int8_row") and zero in tensors:  # the reference writes a (rows/128, columns/128) grid here
            rows = tensors[zero].shape[0]
            tensors[ZERO_LAYER + ".weight_scale"] = st.Tensor("F32", (rows, 1), np.ones(rows, "<f4").tobytes())
        return tensors


def cases(folder: Path) -> list[Case]:
    found = []
    for output in sorted(folder.glob("*.*.safetensors")):
        source, mode = output.name.removesuffix(".safetensors").split(".", 1)
        if mode in MODES:
            found.append(Case(folder / f"{source}.safetensors", mode))
    return found
