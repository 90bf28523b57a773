"""Which tensor of a file is the weight of which layer of a module."""


def match(module_names, weight_names):
    """Returns {module name: layer name in the file}, for the prefix with which most agree.

    A module may be a part of what the file holds (`layers.0.mlp` of `model.layers.0.mlp`), or the file of it.
    """
    layers = {name.removesuffix(".weight") for name in weight_names if name.endswith(".weight")}
    best = {}
    for in_file, in_module in _prefixes(module_names, layers):
        found = {name: in_file + name.removeprefix(in_module) for name in module_names if name.startswith(in_module)}
        found = {name: layer for name, layer in found.items() if layer in layers}
        if len(found) > len(best):
            best = found
    return best


def _prefixes(module_names, layers):
    """(prefix that only the file has, prefix that only the module has), the simplest first."""
    yield "", ""
    for prefix in _beginnings(layers):
        yield prefix, ""
    for prefix in _beginnings(module_names):
        yield "", prefix


def _beginnings(names):
    found = {}
    for name in names:
        parts = name.split(".")
        for n in range(1, len(parts)):
            found.setdefault(".".join(parts[:n]) + ".")
    # Few levels in front are usual; blocks of the model would only match a part.
    return sorted((p for p in found if p.count(".") <= 3), key=lambda p: (p.count("."), p))
