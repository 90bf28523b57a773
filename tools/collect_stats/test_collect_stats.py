"""Tests of the statistics script, by hand where PyTorch is.  HALFTONE_BIN names the program for those that run it."""

import os
import pathlib
import tempfile
import types
import unittest

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from collect_stats import collect
from halftone_stats import comfyui_node
from halftone_stats.inputs import batches_of
from halftone_stats.layer_names import match
from halftone_stats.program import Halftone
from halftone_stats.sequential import Walk

WIDTH = 64


class Attention(torch.nn.Module):
    """Queries of one sequence, keys and values of another; as much of a transformer's wiring as matters here."""

    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (torch.nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = torch.nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x, context):
        scores = self.query(x) @ self.key(context).transpose(1, 2)
        return x + self.out(torch.softmax(scores / 8, -1) @ self.value(context))


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = torch.nn.ModuleList([Attention(), Attention()])
        self.up, self.down = torch.nn.Linear(WIDTH, 2 * WIDTH), torch.nn.Linear(2 * WIDTH, WIDTH)
        self.unused = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, x, context):
        for block in self.blocks:
            x = block(x, context)
        return self.down(torch.relu(self.up(x)))


def setup(folder):
    torch.manual_seed(3)
    network = Network()
    save_file({f"model.{name}": tensor for name, tensor in network.state_dict().items()}, folder / "model.safetensors")
    batches = [{"x": torch.randn(2, 9, WIDTH) + 0.5, "context": torch.randn(2, 5, WIDTH)} for _ in range(3)]
    names = {name: f"model.{name}" for name, layer in network.named_modules() if isinstance(layer, torch.nn.Linear)}
    return network, names, batches


def numpy_of(batches, key):
    return np.concatenate([batch[key].reshape(-1, WIDTH).numpy().astype(np.float64) for batch in batches])


class CollectTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.network, self.names, self.batches = setup(self.folder)

    def collected(self, **options):
        out = self.folder / "statistics.safetensors"
        self.not_reached = collect(self.network, self.names, self.batches, out, log=lambda _: None, **options)
        return load_file(out)

    def test_moments_are_those_of_numpy(self):
        found = self.collected()
        for layer, key in (("query", "x"), ("key", "context"), ("value", "context")):
            vectors = numpy_of(self.batches, key)
            name = f"model.blocks.0.{layer}"
            self.assertEqual(found[f"{name}.count"].tolist(), [len(vectors)])
            # F32 sums of a few dozen products of size 1: far below 1e-5.
            np.testing.assert_allclose(
                found[f"{name}.second_moment"].numpy(), vectors.T @ vectors / len(vectors), atol=1e-5
            )
            np.testing.assert_allclose(found[f"{name}.mean"].numpy(), vectors.mean(axis=0), atol=1e-6)

    def test_layer_that_nothing_reaches_is_named(self):
        found = self.collected()
        self.assertEqual(self.not_reached, ["model.unused"])
        self.assertFalse([name for name in found if "unused" in name])

    def test_several_passes_give_the_same(self):
        once, more = self.collected(), self.collected(layers_per_pass=2)
        self.assertEqual(sorted(once), sorted(more))
        for name in once:
            self.assertTrue(torch.equal(once[name], more[name]), name)

    def test_diagonal_is_that_of_the_moments(self):
        full, diagonal = self.collected(), self.collected(full=False)
        name = "model.blocks.1.key"
        self.assertNotIn(f"{name}.second_moment", diagonal)
        np.testing.assert_allclose(diagonal[f"{name}.diag"], full[f"{name}.second_moment"].diagonal(), rtol=1e-5)

    def test_in_place_changes_part_inputs(self):
        class InPlace(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = torch.nn.Linear(WIDTH, WIDTH), torch.nn.Linear(WIDTH, WIDTH)

            def forward(self, x, context):
                self.first(x)
                x.mul_(2)
                return self.second(x)

        self.network, self.names = InPlace(), {"first": "first", "second": "second"}
        found = self.collected()
        # (2x)(2x)' is exactly four times xx', also in F32.
        self.assertTrue(torch.equal(found["second.second_moment"], 4 * found["first.second_moment"]))


class InputsTest(unittest.TestCase):
    def test_batches_hold_every_row_once_and_rows_of_one_length(self):
        rows = [[1, 2], [3, 4, 5], [6, 7], [8, 9], [10]]
        batches = [batch["input_ids"].tolist() for batch in batches_of(rows, 2, "cpu")]
        self.assertEqual(sorted(row for batch in batches for row in batch), sorted(rows))
        self.assertEqual([len(batch) for batch in batches], [1, 2, 1, 1])


class NamesTest(unittest.TestCase):
    def test_prefix_of_the_file_or_of_the_module_is_found(self):
        modules = ["layers.0.q", "layers.0.k", "layers.1.q", "layers.1.k"]
        in_file = [f"model.{name}.weight" for name in modules]
        self.assertEqual(match(modules, in_file), {name: f"model.{name}" for name in modules})
        deeper = [f"model.{name}" for name in modules]
        self.assertEqual(match(deeper, [f"{name}.weight" for name in modules]), dict(zip(deeper, modules)))


class ComfyModel:
    """As much of ComfyUI's model patcher as the node uses."""

    def __init__(self, module):
        self.model = types.SimpleNamespace(diffusion_model=module)
        self.wrapper = None

    def clone(self):
        return ComfyModel(self.model.diffusion_model)

    def set_model_unet_function_wrapper(self, wrapper):
        self.wrapper = wrapper


class ComfyNodeTest(unittest.TestCase):
    def test_sampling_leaves_the_statistics_that_the_script_collects(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            network, names, batches = setup(folder)
            collect(network, names, batches, folder / "script.safetensors", log=lambda _: None)
            (model,) = comfyui_node.CollectStatistics().watch(ComfyModel(network), "s", False)
            with torch.inference_mode():  # as ComfyUI samples
                for batch in batches:
                    model.wrapper(
                        lambda x, _, context: network(x, context),
                        {"input": batch["x"], "timestep": 0, "c": {"context": batch["context"]}},
                    )
            network(**batches[0])  # outside of sampling nothing is added
            latent = {"samples": 0}
            self.assertEqual(
                comfyui_node.SaveStatistics().save(latent, "s", folder / "node.safetensors", "model."), (latent,)
            )
            script, node = load_file(folder / "script.safetensors"), load_file(folder / "node.safetensors")
            self.assertEqual(sorted(script), sorted(node))
            for name in script:
                self.assertTrue(torch.equal(script[name], node[name]), name)


@unittest.skipUnless("HALFTONE_BIN" in os.environ, "HALFTONE_BIN does not name the program")
class SequentialTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.network, self.names, self.batches = setup(self.folder)
        self.program = Halftone(pathlib.Path(os.environ["HALFTONE_BIN"]).absolute())

    def walk(self, out, rounding, **options):
        lines = []
        walk = Walk(
            self.network, self.names, self.batches, self.folder / "model.safetensors", self.program, log=lines.append
        )
        walk.quantize(self.folder / out, ["--format", "nvfp4", "--preset", "none"], rounding, **options)
        return lines

    def test_nearest_gives_the_bytes_of_a_plain_conversion(self):
        lines = self.walk("walked.safetensors", [], with_statistics=False)
        self.program.convert(
            self.folder / "model.safetensors",
            self.folder / "plain.safetensors",
            "--format",
            "nvfp4",
            "--preset",
            "none",
        )
        self.assertEqual(
            (self.folder / "walked.safetensors").read_bytes(), (self.folder / "plain.safetensors").read_bytes()
        )
        self.assertIn("not reached, and so rounded to nearest: model.unused", lines)
        # x; context with two layers of each block; out; up; down.
        self.assertEqual(sum(" of " in line for line in lines), 7)

    def test_learned_rounding_brings_the_outputs_nearer(self):
        learned = ["--rounding", "learned", "--bias-correction", "stats", "--damping", "0.1"]
        self.walk("learned.safetensors", learned)
        self.walk("nearest.safetensors", [], with_statistics=False)
        learned, nearest = (self.output_error(f"{name}.safetensors") for name in ("learned", "nearest"))
        # On the vectors that the statistics are of, which are few: a twentieth remains.
        self.assertLess(learned, 0.2 * nearest)

    def output_error(self, file):
        with torch.no_grad():
            quantized = self.dequantized(file)
            pairs = [(self.network(**batch), quantized(**batch)) for batch in self.batches]
        return sum((a - b).square().sum().item() for a, b in pairs)

    def dequantized(self, file):
        values = self.folder / f"values-{file}"
        self.program.dequantize(self.folder / file, values)
        network = Network()
        network.load_state_dict({name.removeprefix("model."): tensor for name, tensor in load_file(values).items()})
        return network

    def test_each_group_sees_what_the_quantized_ones_before_it_give(self):
        """Statistics of the last group are those of a model with the values of the finished file."""
        kept = {}
        convert = self.program.convert

        def keep_statistics(source, out, *options):
            if source.name == "part.safetensors":
                kept.update(load_file(out.parent / "statistics.safetensors"))
            return convert(source, out, *options)

        self.program.convert = keep_statistics
        self.walk("walked.safetensors", [], with_statistics=False)
        quantized = self.dequantized("walked.safetensors")
        inputs = [[], []]
        with torch.no_grad():
            for network, found in zip((self.network, quantized), inputs):
                network.down.register_forward_pre_hook(
                    lambda _, values, found=found: found.append(values[0].reshape(-1, 2 * WIDTH))
                )
                for batch in self.batches:
                    network(**batch)
        x, seen = (torch.cat(found).double() for found in inputs)
        name = "model.down"
        for kind, expected in {
            "second_moment": seen.T @ seen / len(x),
            "cross_moment": x.T @ seen / len(x),
            "mean": x.mean(dim=0),
            "mean_quantized": seen.mean(dim=0),
        }.items():
            np.testing.assert_allclose(kept[f"{name}.{kind}"].numpy(), expected.numpy(), atol=1e-5, err_msg=kind)
        self.assertGreater((x - seen).abs().max().item(), 1e-3)  # else all of this would say nothing


if __name__ == "__main__":
    unittest.main()
