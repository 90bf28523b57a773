"""What Halftone writes, loaded by ComfyUI's own code on the processor.

    comfyui.py COMFYUI PROGRAM FOLDER

COMFYUI is a checkout of ComfyUI, PROGRAM the halftone program, FOLDER takes the files.  PyTorch and what ComfyUI's
`comfy/ops.py` imports (comfy-kitchen, comfy-aimdo, ...) are needed; ComfyUI's version is printed.  Each file goes
through the functions that load a diffusion model: the file reader, `convert_old_quants`, `detect_layer_quantization`,
`pick_operations` and a model's `load_state_dict`.  The weights that ComfyUI then dequantizes are compared with those
of `halftone dequantize`, and the outputs of its layers with products of these.
"""
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

COMFYUI, PROGRAM, FOLDER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
sys.path.insert(0, COMFYUI)

import torch
from safetensors.torch import load_file, save_file

from comfy.cli_args import args as comfy_arguments

comfy_arguments.cpu = True  # before anything asks for a device

import comfy.ops
import comfy.utils
from comfy.quant_ops import QUANT_ALGOS, QuantizedTensor

PREFIX = "model.diffusion_model."
# An even layer, one whose sides only 16 divides, so that formats pad it, and one that no rotation group divides.
SHAPES = {"blocks.0.q": (256, 512), "blocks.0.odd": (80, 272), "final": (48, 144)}

# Options, and how far apart weights may be, as a part of the largest one: rotations add in another order.
CASES = [
    (["fp8"], 0.0), (["fp8", "--quant-metadata"], 0.0), (["fp8", "--input-scale"], 0.0), (["fp8", "--full-precision-mm"], 0.0),
    (["fp8-e5m2"], 0.0), (["fp8-cast"], 0.0), (["int8"], 0.0), (["int8", "--scales", "search"], 0.0), (["int8-row"], 0.0),
    (["int8-convrot"], 1e-5), (["int8-convrot", "--rotation-group", "64"], 1e-5), (["int8-convrot", "--quant-metadata"], 1e-5),
    (["int8-convrot", "--rotation-group", "16", "--rotation", "auto"], 1e-5), (["int8-convrot", "--indivisible", "plain"], 1e-5),
    (["nvfp4"], 0.0), (["nvfp4", "--scales", "search"], 0.0), (["nvfp4", "--quant-metadata"], 0.0), (["mxfp8"], 0.0),
    (["w4a4-convrot"], 1e-5), (["w4a4-convrot", "--rotation-group", "16"], 1e-5), (["w4a8"], 1e-5),
    (["w4a8", "--group-size", "32", "--rotation-group", "64"], 1e-5),
]
# How far outputs may be from products with the dequantized weights, as a part of these: the loader rounds activations to
# as many bits.  Formats that this machine has no products for are dequantized.
OUTPUTS = {"int8": 0.02, "w4a4": 0.2, "w4a8": 0.02}
LABELS = {"w4a8": "asym_w4a8_int8", "w4a4-convrot": "convrot_w4a4", "mxfp8": "mxfp8"}  # that older versions lack


def write_model(path):
    torch.manual_seed(1)
    tensors = {}
    for name, shape in SHAPES.items():
        weight = torch.randn(shape) * 0.02
        weight[3] *= 30
        weight[:, 7] = 0
        tensors[f"{PREFIX}{name}.weight"] = weight.to(torch.bfloat16)
        tensors[f"{PREFIX}{name}.bias"] = torch.randn(shape[0]).to(torch.bfloat16)
    save_file(tensors, path)


def run(*arguments):
    subprocess.run([PROGRAM, *map(str, arguments), "--force", "--quiet"], check=True, stdout=subprocess.DEVNULL)


class Model(torch.nn.Module):
    """The layers of the file, made by ComfyUI's operations."""

    def __init__(self, operations):
        super().__init__()
        for name, (rows, columns) in SHAPES.items():
            parent = self
            *path, last = name.split(".")
            for part in path:
                if not hasattr(parent, part):
                    parent.add_module(part, torch.nn.Module())
                parent = getattr(parent, part)
            parent.add_module(last, operations.Linear(columns, rows, bias=True, dtype=torch.float32, device="cpu"))


def loaded(path):
    """The model as ComfyUI loads it, and the keys that it did not expect or missed."""
    tensors, metadata = comfy.utils.load_torch_file(str(path), return_metadata=True)
    tensors, metadata = comfy.utils.convert_old_quants(tensors, PREFIX, metadata=metadata)
    config = SimpleNamespace(quant_config=comfy.utils.detect_layer_quantization(tensors, PREFIX))
    operations = comfy.ops.pick_operations(torch.float32, torch.float32, load_device=torch.device("cpu"), model_config=config)
    model = Model(operations)
    missing, unexpected = model.load_state_dict({name.removeprefix(PREFIX): tensor for name, tensor in tensors.items()}, strict=False)
    return model, list(missing), list(unexpected)


def apart(found, expected):
    return ((found.float() - expected).abs().max() / expected.abs().max()).item()


def check(path, back, allowed, allowed_outputs):
    """How far weights and outputs are apart, and how many layers stayed quantized; raises where keys are left."""
    model, missing, unexpected = loaded(path)
    if missing or unexpected:
        raise AssertionError(f"missing {missing}, unexpected {unexpected}")
    weights, outputs, quantized = 0.0, 0.0, 0
    for name, (_, columns) in SHAPES.items():
        layer = model.get_submodule(name)
        expected = back[f"{PREFIX}{name}.weight"].float()
        quantized += isinstance(layer.weight, QuantizedTensor)
        weight = layer.weight.dequantize() if isinstance(layer.weight, QuantizedTensor) else layer.weight
        weights = max(weights, apart(weight.detach(), expected))
        inputs = torch.randn(64, columns)
        bias = back[f"{PREFIX}{name}.bias"].float()
        with torch.no_grad():
            error = layer(inputs) - bias - inputs @ expected.T
        outputs = max(outputs, (error.norm() / (inputs @ expected.T).norm()).item())
    if weights > allowed:
        raise AssertionError(f"weights are {weights:.2e} apart, {allowed:.0e} allowed")
    if outputs > allowed_outputs:
        raise AssertionError(f"outputs are {outputs:.2e} apart, {allowed_outputs:.0e} allowed")
    return weights, outputs, quantized


def kitchen_apart(path, back):
    """How far the weights of w4a8 are apart where comfy-kitchen decodes them: for versions that do not load them."""
    import comfy_kitchen
    tensors, worst = load_file(path), 0.0
    for name in (name.removesuffix("weight_codebook") for name in tensors if name.endswith(".weight_codebook")):
        label = json.loads(bytes(tensors[name + "comfy_quant"].tolist()))
        found = comfy_kitchen.dequantize_w4a8_int8_weight(
            tensors[name + "weight"], tensors[name + "weight_s_rel"], tensors[name + "weight_s_channel"], tensors[name + "weight_codebook"],
            group_size=label["group_size"], convrot_groupsize=label["convrot_groupsize"], output_dtype=torch.float32)
        worst = max(worst, apart(found, back[name + "weight"]))
    return worst


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    version = (Path(COMFYUI) / "comfyui_version.py").read_text().split('"')[-2]
    print(f"ComfyUI {version}, PyTorch {torch.__version__}, formats {', '.join(QUANT_ALGOS)}")
    model = FOLDER / "model.safetensors"
    write_model(model)
    failures = 0
    for options, allowed in CASES:
        name = " ".join(options)
        label = LABELS.get(options[0])
        is_known = label is None or label in QUANT_ALGOS
        if not is_known and options[0] != "w4a8":
            print(f"--   {name:<48} this version does not know {label}")
            continue
        quantized, back = FOLDER / "quantized.safetensors", FOLDER / "back.safetensors"
        run("convert", model, "-o", quantized, "--preset", "none", "--format", *options)
        run("dequantize", quantized, "-o", back, "--dtype", "f32") if options[0] != "fp8-cast" else save_file(
            {key: tensor.float() for key, tensor in load_file(quantized).items()}, back)
        if not is_known:
            worst = kitchen_apart(quantized, load_file(back))
            failures += worst > allowed
            print(f"{'ok  ' if worst <= allowed else 'FAIL'} {name:<48} this version does not know {label}; by comfy-kitchen {worst:.1e}")
            continue
        try:
            allowed_outputs = OUTPUTS.get(options[0].split("-")[0], 1e-5)
            weights, outputs, layers = check(quantized, load_file(back), allowed, allowed_outputs)
            print(f"ok   {name:<48} {layers} layers quantized, weights apart {weights:.1e}, outputs {outputs:.1e}")
        except Exception as error:
            failures += 1
            print(f"FAIL {name:<48} {type(error).__name__}: {error}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
