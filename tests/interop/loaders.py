"""What Halftone writes, decoded by the packages that loaders use: bitsandbytes and comfy-kitchen, on a GPU.

    loaders.py PROGRAM FOLDER

PROGRAM is the halftone program, FOLDER takes the files.  PyTorch, safetensors and both packages are needed.  Their
values are compared with those of `halftone dequantize`: equal where they are rounded once, near where they are rotated
or the packages add differently.
"""
import json
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

SHAPE = (256, 512)
LAYER = "blocks.0.attn.q"


def write_model(path):
    torch.manual_seed(1)
    weight = torch.randn(SHAPE) * 0.02
    weight[3] *= 30
    weight[:, 7] = 0
    save_file({f"{LAYER}.weight": weight.to(torch.bfloat16)}, path)


def parts_of(tensors):
    """The tensors of the layer on the GPU, by what follows its name."""
    return {name[len(LAYER) + 1:]: tensor.cuda() for name, tensor in tensors.items()}


def bitsandbytes_values(parts):
    from bitsandbytes.functional import QuantState, dequantize_4bit
    state = {name[len("weight."):]: tensor for name, tensor in parts.items() if name.startswith("weight.")}
    quant_state = QuantState.from_dict(state, torch.device("cuda"))
    quant_state.dtype = torch.float32
    return dequantize_4bit(parts["weight"], quant_state)


def kitchen_values(parts):
    import comfy_kitchen as kitchen
    from comfy_kitchen.backends.cuda import dequantize_int8_convrot_weight
    label = json.loads(bytes(parts["comfy_quant"].cpu().tolist()))
    weight, scale = parts["weight"], parts.get("weight_scale")
    kind = label["format"]
    if kind == "nvfp4":
        return kitchen.dequantize_nvfp4(weight, parts["weight_scale_2"], scale, torch.float32)
    if kind == "mxfp8":
        return kitchen.dequantize_mxfp8(weight, scale.view(torch.float8_e8m0fnu), torch.float32)
    if kind == "int8_tensorwise" and label.get("convrot"):
        return dequantize_int8_convrot_weight(weight, scale, label["convrot_groupsize"])
    if kind == "int8_tensorwise":
        return kitchen.dequantize_int8_simple(weight, scale)
    if kind == "convrot_w4a4":
        return kitchen.dequantize_convrot_w4a4_weight(weight, scale, label["convrot_groupsize"])
    if kind == "asym_w4a8_int8":
        return kitchen.dequantize_w4a8_int8_weight(weight, parts["weight_s_rel"], parts["weight_s_channel"], parts["weight_codebook"],
                                                   group_size=label["group_size"], convrot_groupsize=label["convrot_groupsize"],
                                                   output_dtype=torch.float32)
    raise SystemExit(f"no decoder for {kind}")


# Options, whose decoder, and how far apart values may be, as a part of the largest one.
CASES = [
    (["nf4-bnb"], bitsandbytes_values, 0.0),
    (["fp4-bnb"], bitsandbytes_values, 1e-7),
    (["nf4-bnb", "--double-quant"], bitsandbytes_values, 1e-6),
    (["nf4-bnb", "--scales", "search"], bitsandbytes_values, 0.0),
    (["nvfp4"], kitchen_values, 0.0),
    (["nvfp4", "--scales", "search"], kitchen_values, 0.0),
    (["mxfp8"], kitchen_values, 0.0),
    (["int8-row"], kitchen_values, 0.0),
    (["int8-convrot"], kitchen_values, 1e-5),
    (["w4a4-convrot"], kitchen_values, 1e-5),
    (["w4a8"], kitchen_values, 1e-5),
]


def main():
    program, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "model.safetensors"
    write_model(model)
    failures = 0
    for options, decode, allowed in CASES:
        name = " ".join(options)
        quantized, back = folder / "quantized.safetensors", folder / "back.safetensors"
        subprocess.run([program, "convert", model, "-o", quantized, "--preset", "none", "--force", "--quiet", "--format", *options],
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run([program, "dequantize", quantized, "-o", back, "--dtype", "f32", "--force", "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        expected = load_file(back)[f"{LAYER}.weight"].cuda()
        found = decode(parts_of(load_file(quantized))).float().reshape(expected.shape)
        apart = ((found - expected).abs().max() / expected.abs().max()).item()
        good = apart <= allowed
        failures += not good
        print(f"{'ok  ' if good else 'FAIL'} {name:<28} {decode.__name__:<20} apart {apart:.2e}, allowed {allowed:.0e}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
