"""ComfyUI nodes that collect statistics while pictures are made.

Link the folder above into ComfyUI's `custom_nodes`.  Put the first node between the model's loader and the sampler, and the
second one behind the sampler.
"""

import pathlib

from .observe import Watch, linear_layers
from .statistics_file import statistics_file

# The watches of models whose statistics are not yet saved, by the name that both nodes are given.
_watches = {}


class CollectStatistics:
    """Watches the linear layers of a diffusion model during sampling."""

    CATEGORY = "halftone"
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "watch"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("MODEL",),
                "name": ("STRING", {"default": "statistics"}),
                "diagonal_only": ("BOOLEAN", {"default": False}),
            }
        }

    def watch(self, model, name, diagonal_only):
        watched = model.clone()
        layers = linear_layers(watched.model.diffusion_model)
        watch = _watches[name] = Watch(layers, full=not diagonal_only)

        def apply(function, arguments):
            with watch.attached():
                return function(arguments["input"], arguments["timestep"], **arguments["c"])

        watched.set_model_unet_function_wrapper(apply)
        return (watched,)


class SaveStatistics:
    """Writes what was seen until the latent image arrived, in all runs since the first node's inputs changed."""

    CATEGORY = "halftone"
    RETURN_TYPES = ("LATENT",)
    FUNCTION = "save"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "latent": ("LATENT",),
                "name": ("STRING", {"default": "statistics"}),
                "path": ("STRING", {"default": "statistics.safetensors"}),
                "prefix": (
                    "STRING",
                    {"default": ""},
                ),  # what the file to be quantized has in front: model.diffusion_model.
            }
        }

    def save(self, latent, name, path, prefix):
        watch = _watches[name]
        layers = [prefix + layer for group in watch.groups.values() for layer in group]
        with statistics_file(pathlib.Path(path), layers) as writer:
            for first, moments in watch.moments.items():
                statistics = moments.statistics()
                for layer in watch.groups[first]:
                    writer.add(prefix + layer, statistics)
        return (latent,)


NODE_CLASS_MAPPINGS = {"HalftoneCollectStatistics": CollectStatistics, "HalftoneSaveStatistics": SaveStatistics}
NODE_DISPLAY_NAME_MAPPINGS = {
    "HalftoneCollectStatistics": "Collect statistics (Halftone)",
    "HalftoneSaveStatistics": "Save statistics (Halftone)",
}
