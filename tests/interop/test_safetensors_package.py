"""Opens converted files with the Python package safetensors, the format's own reader.

Run with the program's path in HALFTONE_BIN. The package checks the container; what the tensors must be called
and look like, format by format, is the table FORMATS.
"""

import json
import os
import pathlib
import struct
import subprocess
import tempfile
import unittest
from typing import Callable, NamedTuple, Optional

import numpy as np
import safetensors


class Format(NamedTuple):
    weight_dtype: str
    scale_shape: Optional[Callable]  # (rows, columns) -> shape; None: no scale
    comfy_quant: Optional[str]  # the exact JSON text; None: no such tensor
    has_input_scale: bool = False


FORMATS = {
    "fp8": Format("F8_E4M3", lambda m, n: [], '{"format": "float8_e4m3fn"}'),
    "fp8-row": Format("F8_E4M3", lambda m, n: [m], '{"format": "float8_e4m3fn_rowwise"}'),
    "fp8-block": Format(
        "F8_E4M3", lambda m, n: [m // 64, n // 64], '{"format": "float8_e4m3fn_blockwise", "group_size": 64}'
    ),
    "fp8-e5m2": Format("F8_E5M2", lambda m, n: [], '{"format": "float8_e5m2"}'),
    "fp8-cast": Format("F8_E4M3", None, None),
    "int8": Format("I8", lambda m, n: [], '{"format": "int8_tensorwise"}'),
    "int8-row": Format("I8", lambda m, n: [m, 1], '{"format": "int8_tensorwise", "per_row": true}'),
    "int8-block": Format(
        "I8", lambda m, n: [m // 128, n // 128], '{"format": "int8_blockwise", "group_size": 128}', has_input_scale=True
    ),
}

# Both sides are multiples of the larger block size; different numbers of blocks show a transposed scale.
LAYERS = {"blocks.0.proj": (128, 384), "blocks.1.proj": (256, 128), "blöcke.2.proj": (384, 256)}

METADATA = {"format": "pt", "note": 'kept as it is: "äöü"'}


class Tensor(NamedTuple):
    dtype: str
    shape: list
    data: bytes


def bf16(values):
    """The BF16 tensor nearest below `values` in magnitude; numpy has no such type, its bits are F32's upper half."""
    bits = np.ascontiguousarray(values, dtype="<f4").view("<u4") >> 16
    return Tensor("BF16", list(np.shape(values)), bits.astype("<u2").tobytes())


def plain(dtype, values):
    return Tensor(dtype, list(values.shape), values.tobytes())


def random_model():
    """Returns (tensors to quantize, tensors to leave alone)."""
    random = np.random.default_rng(20240607)
    weights = {f"{name}.weight": bf16(random.normal(0, 0.05, shape)) for name, shape in LAYERS.items()}
    others = {
        "blocks.0.proj.bias": bf16(random.normal(size=128)),
        "blocks.0.norm.weight": plain("F32", random.normal(size=384).astype("<f4")),
        "blocks.0.gate": plain("F16", random.normal(size=(3, 5)).astype("<f2")),  # 2-D, but no .weight
        "conv.weight": bf16(random.normal(size=(8, 4, 3, 3))),
        "ids": plain("I64", np.arange(7, dtype="<i8").reshape(1, 7)),
        "step": plain("F32", np.array(3.5, "<f4")),  # no dimension
        "empty": plain("F32", np.zeros((0, 4), "<f4")),
        'a "quoted" näme': plain("U8", np.arange(5, dtype="u1")),  # makes the next tensors unaligned
    }
    return weights, others


def write_safetensors(path, tensors, metadata):
    """A writer of our own: the package's cannot be told to write BF16 from numpy arrays."""
    header, position = {"__metadata__": metadata}, 0
    for name, tensor in tensors.items():
        end = position + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [position, end]}
        position = end
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(t.data for t in tensors.values()))


def read_with_package(path):
    """Returns (tensors, metadata) after both of the package's readers have accepted the file."""
    tensors = {
        name: Tensor(info["dtype"], list(info["shape"]), bytes(info["data"]))
        for name, info in safetensors.deserialize(path.read_bytes())
    }
    with safetensors.safe_open(path, framework="numpy") as file:
        # Slices tell type and shape without making an array: numpy has no FP8.
        for name in file.keys():
            opened = file.get_slice(name)
            if (opened.get_dtype(), list(opened.get_shape())) != tensors[name][:2]:
                raise AssertionError(f"safe_open and deserialize disagree about {name}")
        if set(file.keys()) != set(tensors):
            raise AssertionError("safe_open and deserialize find different tensors")
        return tensors, file.metadata()


def convert(source, target, format_name, *options):
    """Runs the program and returns the JSON object that it prints."""
    command = [os.environ["HALFTONE_BIN"], "convert", source, "-o", target, "--format", format_name]
    command += ["--preset", "none", "--json", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise AssertionError(f"exit status {result.returncode} of {command}:\n{result.stderr}")
    return json.loads(result.stdout)


def setUpModule():
    if not os.access(os.environ.get("HALFTONE_BIN", ""), os.X_OK):
        raise RuntimeError("HALFTONE_BIN must hold the path of the halftone program")


class SafetensorsPackage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.weights, cls.others = random_model()
        write_safetensors(cls.folder / "model.safetensors", {**cls.others, **cls.weights}, METADATA)

    def convert_to(self, name, *options):
        """Returns (path of the converted model, the program's report)."""
        target = self.folder / f"{self.id()}-{name}.safetensors"
        return target, convert(self.folder / "model.safetensors", target, name, *options)

    def test_tensors_have_the_documented_names_types_and_shapes(self):
        for name, format_ in FORMATS.items():
            with self.subTest(format=name):
                expected = {key: (tensor.dtype, tensor.shape) for key, tensor in self.others.items()}
                for layer, (rows, columns) in LAYERS.items():
                    expected[f"{layer}.weight"] = (format_.weight_dtype, [rows, columns])
                    if format_.scale_shape:
                        expected[f"{layer}.weight_scale"] = ("F32", format_.scale_shape(rows, columns))
                    if format_.has_input_scale:
                        expected[f"{layer}.input_scale"] = ("F32", [])
                    if format_.comfy_quant:
                        expected[f"{layer}.comfy_quant"] = ("U8", [len(format_.comfy_quant)])
                tensors, _ = read_with_package(self.convert_to(name)[0])
                self.assertEqual({key: (tensor.dtype, tensor.shape) for key, tensor in tensors.items()}, expected)

    def test_other_tensors_and_metadata_are_kept(self):
        for name in FORMATS:
            with self.subTest(format=name):
                tensors, metadata = read_with_package(self.convert_to(name)[0])
                for key, tensor in self.others.items():
                    self.assertEqual(tensors[key], tensor, key)
                # The program may add entries about itself.
                self.assertLessEqual(METADATA.items(), metadata.items())

    def test_comfy_quant_holds_the_exact_text(self):
        for name, format_ in FORMATS.items():
            with self.subTest(format=name):
                tensors, _ = read_with_package(self.convert_to(name)[0])
                for layer in LAYERS:
                    tensor = tensors.get(f"{layer}.comfy_quant")
                    self.assertEqual(tensor and tensor.data.decode(), format_.comfy_quant, layer)

    def test_quant_metadata_lists_every_layer(self):
        for name, format_ in FORMATS.items():
            if not format_.comfy_quant:
                continue  # a plain cast has nothing to tell
            with self.subTest(format=name):
                _, metadata = read_with_package(self.convert_to(name, "--quant-metadata")[0])
                entry = json.loads(metadata["_quantization_metadata"])
                self.assertEqual(entry["format_version"], "1.0")
                self.assertEqual(set(entry["layers"]), set(LAYERS))
                want = json.loads(format_.comfy_quant)
                for layer in entry["layers"].values():
                    # The reference leaves per_row out here. Both are right: the loader ignores it.
                    self.assertEqual({"per_row": want.get("per_row"), **layer}, {"per_row": None, **want})

    def test_report_describes_the_file(self):
        for name in FORMATS:
            with self.subTest(format=name):
                path, report = self.convert_to(name)
                tensors, _ = read_with_package(path)
                self.assertEqual(report["output"]["bytes"], path.stat().st_size)
                self.assertEqual(report["output"]["tensors"], len(tensors))
                self.assertEqual(report["input"]["tensors"], len(self.weights) + len(self.others))
                changed = {layer["name"] for layer in report["layers"] if layer["action"] in ("quantize", "cast")}
                self.assertEqual(changed, set(self.weights))

    def test_lora_takes_a_part_of_the_error_off(self):
        path, report = self.convert_to("int8-row", "--extract-lora", "16")
        lora, _ = read_with_package(pathlib.Path(report["lora"]["file"]))
        self.assertEqual(path.with_suffix("").name + "-lora.safetensors", pathlib.Path(report["lora"]["file"]).name)
        model, _ = read_with_package(path)
        array = lambda tensor, dtype: np.frombuffer(tensor.data, dtype).reshape(tensor.shape)
        expected = {}
        for layer, (rows, columns) in LAYERS.items():
            names = [f"diffusion_model.{layer}.lora_{side}.weight" for side in ("up", "down")]
            expected |= {names[0]: ("F32", [rows, 16]), names[1]: ("F32", [16, columns])}
            up, down = (array(lora[name], "<f4") for name in names)
            weight = (array(self.weights[f"{layer}.weight"], "<u2").astype("<u4") << 16).view("<f4")
            restored = array(model[f"{layer}.weight"], "i1") * array(model[f"{layer}.weight_scale"], "<f4")
            error = weight - restored
            self.assertLess(np.linalg.norm(error - up @ down), 0.95 * np.linalg.norm(error), layer)
        self.assertEqual({name: (tensor.dtype, tensor.shape) for name, tensor in lora.items()}, expected)

    def test_scale_of_a_layer_with_one_row_has_no_dimension(self):
        source = self.folder / "one-row.safetensors"
        write_safetensors(source, {"head.weight": bf16(np.linspace(-1, 1, 64).reshape(1, 64))}, {})
        for name in ("fp8-row", "int8-row"):
            with self.subTest(format=name):
                target = self.folder / f"one-row-{name}.safetensors"
                convert(source, target, name)
                tensors, _ = read_with_package(target)
                self.assertEqual(tensors["head.weight_scale"].shape, [])


if __name__ == "__main__":
    unittest.main()
