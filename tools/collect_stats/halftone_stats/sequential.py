"""Quantizes a model layer after layer, each on the inputs that the layers before it give once they are quantized."""

import contextlib
import copy
import os
import pathlib
import shutil
import tempfile

import torch

from .observe import Moments, Watch
from .safetensors_files import BadFile, Model, replace_tensors, sync_folder, write_subset
from .statistics_file import statistics_file


class Walk:
    """`module` computes what the weights at `source` say, and takes each of `batches`, dictionaries, as its
    arguments.  `names` maps its linear layers to layers of the file.
    """

    def __init__(self, module, names, batches, source, program, *, dtype="F32", log=print):
        self._original, self._batches, self._program, self._dtype, self._log = module, batches, program, dtype, log
        self._names = names
        self._source = Model(source)
        self._source_path = source

    @torch.no_grad()
    def quantize(self, out, choice, rounding, *, with_statistics=True):
        """Writes the quantized model to `out`.

        `choice`: options of `halftone convert` that say which layers get which format; `rounding`: those that say how
        each is rounded, given with each group and its statistics.  Without statistics the result is that of a plain
        conversion, which is good for tests only.
        """
        with _work_folder(out) as work:
            template = work / "template.safetensors"
            self._program.convert(self._source_path, template, *choice)
            wanted = set(self._program.quantized_layers(template))
            groups = self._groups(wanted)
            self._report_others(wanted, groups)
            quantized = _copy_that_shares_parameters(self._original)
            for number, group in enumerate(groups, 1):
                self._log(f"{number} of {len(groups)}: {', '.join(self._names[name] for name in group)}")
                self._solve(group, quantized, template, work, rounding, with_statistics)
            _give_name(template, out)

    def _groups(self, wanted):
        """Layers to quantize that share an input, in the order in which the model comes to them."""
        layers = {name: self._original.get_submodule(name) for name, layer in self._names.items() if layer in wanted}
        watch = Watch(layers, wanted=())
        with watch.attached():
            for n_batches, batch in enumerate(self._batches, 1):
                self._original(**batch)
                for name, calls in watch.calls.items():
                    if calls > n_batches:
                        raise BadFile(
                            f"the layer {name} is used more than once in a pass, so it has no place in an order; "
                            "leave it out with --exclude"
                        )
                if all(watch.calls.values()):  # a mixture of experts may take more batches than the first
                    break
        return list(watch.groups.values())

    def _report_others(self, wanted, groups):
        reached = {self._names[name] for group in groups for name in group}
        others = sorted(wanted - reached)
        if others:
            self._log(f"not reached, and so rounded to nearest: {', '.join(others)}")

    def _solve(self, group, quantized, template, work, rounding, with_statistics):
        moments = self._moments_of(group[0], quantized)
        if moments is None:
            self._log("no input reached it: rounded to nearest")
            return
        layers = [self._names[name] for name in group]
        statistics, part, result, plain = (
            work / f"{name}.safetensors" for name in ("statistics", "part", "result", "plain")
        )
        with statistics_file(statistics, layers, self._dtype) as writer:
            for layer in layers:
                writer.add(layer, moments.statistics())
        tensors = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
        write_subset(self._source, [name for name in tensors if name in self._source.places], part)
        given = ["--stats", statistics] if with_statistics else []
        self._program.convert(part, result, "--like", template, "--preset", "none", *rounding, *given)
        self._program.dequantize(result, plain)
        replace_tensors(template, Model(result))
        for name in group:
            _take_values(quantized.get_submodule(name), self._names[name], Model(plain))
        for file in (statistics, part, result, plain):
            file.unlink()

    def _moments_of(self, name, quantized):
        """Moments of the input of a layer in the quantized model, and with that in the original one."""
        moments = None
        for batch in self._batches:
            original = self._input_of(name, self._original, batch)
            values = self._input_of(name, quantized, batch)
            if original is None and values is None:
                continue
            if original is None or values is None or original.shape != values.shape:
                raise BadFile(
                    f"the layer {name} sees other vectors in the quantized model (a mixture of experts?); "
                    "leave it out with --exclude"
                )
            moments = moments or Moments(values.shape[-1], values.device, full=True, cross=True)
            moments.add(values, original)
        return moments

    def _input_of(self, name, module, batch):
        """What reaches a layer; the pass ends there.  None where it is not reached."""
        caught = []

        def catch(_, inputs):
            caught.append(inputs[0])
            raise _Reached

        hook = module.get_submodule(name).register_forward_pre_hook(catch)
        try:
            module(**batch)
        except _Reached:
            pass
        finally:
            hook.remove()
        return caught[0] if caught else None


class _Reached(Exception):
    pass


def _copy_that_shares_parameters(module):
    """A module of its own whose parameters are those of the other, until they are replaced."""
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, shared)


def _take_values(layer, name, values):
    """Gives `layer` the weight, and the bias, that the quantized file stands for."""
    for kind in ("weight", "bias"):
        parameter = getattr(layer, kind)
        if parameter is None or f"{name}.{kind}" not in values.places:
            continue
        entry = values.entry(f"{name}.{kind}")
        flat = torch.frombuffer(bytearray(values.bytes(f"{name}.{kind}")), dtype=_TORCH_TYPES[entry["dtype"]])
        new = flat.reshape(entry["shape"]).to(parameter.device, parameter.dtype)
        if new.shape != parameter.shape:
            raise BadFile(f"'{name}.{kind}' is {list(new.shape)} in the file and {list(parameter.shape)} in the model")
        setattr(layer, kind, torch.nn.Parameter(new, requires_grad=False))


_TORCH_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@contextlib.contextmanager
def _work_folder(out):
    """A folder beside the output, so that the result only needs its name there."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _give_name(complete, out):
    with open(complete, "rb") as file:
        os.fsync(file.fileno())
    os.replace(complete, out)
    sync_folder(out.parent)
