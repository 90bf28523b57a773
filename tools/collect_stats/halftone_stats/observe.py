"""Watches the linear layers of a PyTorch module and sums up the moments of their inputs."""

import contextlib

import torch

# Inputs of one forward pass that are kept in mind, to see that several layers have the same one: of attention over
# another sequence, the keys' and values' input comes between the queries'.
INPUTS_IN_MIND = 4


class Moments:
    """Running sums over the vectors that a layer multiplies, on their device.

    Products are formed and summed in F32, where a model computes; vectors are summed in F64 where the device has it.
    """

    def __init__(self, width, device, *, full, cross=False):
        wide = torch.float32 if device.type == "mps" else torch.float64
        self.count = 0
        self._sum = torch.zeros(width, dtype=wide, device=device)
        self._squares = None if full else torch.zeros(width, dtype=wide, device=device)
        self._products = torch.zeros(width, width, dtype=torch.float32, device=device) if full else None
        self._cross = torch.zeros(width, width, dtype=torch.float32, device=device) if cross else None
        self._original_sum = torch.zeros(width, dtype=wide, device=device) if cross else None

    def add(self, values, original=None):
        """`values`: the input of a layer; `original`: what the original model has for it, where cross moments are wanted."""
        vectors = values.detach().reshape(-1, values.shape[-1]).float()
        self.count += vectors.shape[0]
        self._sum += vectors.sum(dim=0, dtype=self._sum.dtype)
        if self._products is None:
            self._squares += vectors.square().sum(dim=0, dtype=self._squares.dtype)
        else:
            self._products.addmm_(vectors.T, vectors)
        if self._cross is not None:
            originals = original.detach().reshape(-1, values.shape[-1]).float()
            self._original_sum += originals.sum(dim=0, dtype=self._original_sum.dtype)
            self._cross.addmm_(originals.T, vectors)

    def statistics(self):
        """Arrays by the names of the statistics file."""
        found = {"count": self.count}
        if self._products is None:
            found["diag"] = self._mean_of(self._squares)
        else:
            found["second_moment"] = self._mean_of(self._products)
        if self._cross is None:
            found["mean"] = self._mean_of(self._sum)
        else:
            found["cross_moment"] = self._mean_of(self._cross)
            found["mean"] = self._mean_of(self._original_sum)
            found["mean_quantized"] = self._mean_of(self._sum)
        return found

    def _mean_of(self, total):
        return (total / self.count).float().cpu().numpy()


def linear_layers(module):
    """Every linear layer by its name in the module."""
    return {name: layer for name, layer in module.named_modules() if isinstance(layer, torch.nn.Linear)}


class Watch:
    """Finds out which layers share an input, and sums up the moments of `wanted` layers, once for each input.

    `layers` maps names to modules.  Attach it, run the model, read `groups` and `moments`.
    """

    def __init__(self, layers, wanted=None, *, full=True):
        self.groups = {}  # the first layer -> all that have its input, in the order of the model
        self.moments = {}  # of the first layers that are wanted
        self.calls = dict.fromkeys(layers, 0)
        self._layers, self._full = layers, full
        self._wanted = set(layers if wanted is None else wanted)
        self._first_of = {}
        self._recent = (
            []
        )  # (input, its state then, the first layer that had it); held, so that its memory is not used again

    @contextlib.contextmanager
    def attached(self):
        hooks = [layer.register_forward_pre_hook(self._hook(name)) for name, layer in self._layers.items()]
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()
            self._recent.clear()

    def _hook(self, name):
        def see(_, inputs):
            self._see(name, inputs[0])

        return see

    def _see(self, name, values):
        self.calls[name] += 1
        state = _state_of(values)
        known_by = next((first for _, recent, first in self._recent if recent == state), None)
        first = self._first_of.get(name)
        if first is None:
            first = self._first_of[name] = known_by or name
            self.groups.setdefault(first, []).append(name)
        elif first != name and first != known_by:
            raise RuntimeError(f"{name} shared the input of {first} before and does not now; leave one of them out")
        if first == name:
            self._recent = [(values, state, name), *self._recent[: INPUTS_IN_MIND - 1]]
            if name in self._wanted:
                self._moments_of(name, values).add(values)

    def _moments_of(self, name, values):
        if name not in self.moments:
            self.moments[name] = Moments(values.shape[-1], values.device, full=self._full)
        return self.moments[name]


def _state_of(values):
    """Equal for two inputs only where they are the same memory with the same content."""
    if values.is_inference():  # such tensors do not count their changes: a sample of the content must do
        flat = values.reshape(-1)
        content = tuple(flat[:: max(1, flat.numel() // 16)].tolist())
    else:
        content = values._version
    return values.data_ptr(), values.shape, values.stride(), values.dtype, content
