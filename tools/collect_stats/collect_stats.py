#!/usr/bin/env python3
"""Collects statistics of the inputs of a language model's layers, for `halftone convert --rounding learned --stats`.

    collect_stats.py MODEL --text FILE... -o STATS.safetensors
    collect_stats.py MODEL --random-inputs -o STATS.safetensors
    collect_stats.py MODEL --text FILE... --sequential -o QUANTIZED.safetensors --format nvfp4 --scales search

MODEL is a folder as the package transformers saves it.  README.md beside this file tells the rest.
"""

import argparse
import pathlib
import re
import sys

import torch

from halftone_stats import layer_names
from halftone_stats.inputs import batches_of, random_blocks, text_blocks, text_lines
from halftone_stats.observe import Watch, linear_layers
from halftone_stats.program import Halftone
from halftone_stats.safetensors_files import BadFile, Model
from halftone_stats.sequential import Walk
from halftone_stats.statistics_file import NotFinite, statistics_file


def arguments(argv):
    parser = argparse.ArgumentParser(prog="collect_stats.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument("model", type=pathlib.Path, help="folder of a transformers model")
    parser.add_argument(
        "-o",
        "--output",
        type=pathlib.Path,
        required=True,
        help="the statistics, or with --sequential the quantized model",
    )
    parser.add_argument("--force", action="store_true", help="replace an existing output")
    parser.add_argument(
        "--weights",
        type=pathlib.Path,
        help="the file, index or folder to be quantized, if not MODEL; its names are used",
    )
    inputs = parser.add_mutually_exclusive_group(required=True)
    inputs.add_argument(
        "--text", nargs="+", type=pathlib.Path, metavar="FILE", help="UTF-8 text of the kind that the model is used for"
    )
    inputs.add_argument("--random-inputs", action="store_true", help="random tokens, where there is no text")
    parser.add_argument(
        "--lines", action="store_true", help="each line is an input of its own: sentences, questions, prompts"
    )
    parser.add_argument("--tokens", type=int, default=131072, help="how many at most (default 131072)")
    parser.add_argument("--length", type=int, default=512, help="tokens of a block, most of a line (default 512)")
    parser.add_argument("--batch", type=int, default=8, help="sequences that are computed together (default 8)")
    parser.add_argument("--seed", type=int, default=1, help="of random inputs")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="where the model runs")
    parser.add_argument(
        "--dtype",
        default="auto",
        choices=["auto", "float32", "bfloat16", "float16"],
        help="in which the model computes",
    )
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="REGEX",
        help="only layers that match, by their names in the file",
    )
    parser.add_argument("--exclude", action="append", default=[], metavar="REGEX", help="not layers that match")
    parser.add_argument(
        "--diagonal", action="store_true", help="only E[x^2] and E[x]: small, for scale search and biases"
    )
    parser.add_argument(
        "--store", default="F32", choices=["F32", "BF16"], help="type of the moments in the file (default F32)"
    )
    parser.add_argument(
        "--layers-per-pass",
        type=int,
        metavar="N",
        help="sum up so many moments at a time and run the model again for the next",
    )
    parser.add_argument(
        "--sequential",
        action="store_true",
        help="quantize layer after layer, each on what the quantized ones before it give",
    )
    parser.add_argument("--halftone", default="halftone", help="the program, for --sequential")
    parser.add_argument("--format", help="of the quantized model, for --sequential")
    parser.add_argument(
        "--scales", default="search", choices=["absmax", "search"], help="for --sequential (default search)"
    )
    parser.add_argument("--damping", help="of the moments, for --sequential (default: by their count)")
    parser.add_argument("--effort", choices=["fast", "default", "best"], help="for --sequential")
    parser.usage = (
        parser.format_usage().removeprefix("usage: ").rstrip()
        + " [-- OPTIONS of 'halftone convert' that choose layers and formats]"
    )
    end = argv.index("--") if "--" in argv else len(argv)
    given = parser.parse_args(argv[:end])
    given.convert = argv[end + 1 :]
    if not given.model.is_dir():
        parser.error(f"{given.model} is no folder")
    if given.sequential != bool(given.format):
        parser.error("--sequential and --format belong together")
    if given.sequential and (given.diagonal or given.layers_per_pass):
        parser.error("--diagonal and --layers-per-pass have no effect with --sequential")
    if not given.sequential and (given.convert or given.damping or given.effort):
        parser.error("--damping, --effort and options of convert have no effect without --sequential")
    if given.lines and not given.text:
        parser.error("--lines needs --text")
    if given.output.exists() and not given.force:
        parser.error(f"{given.output} exists; --force replaces it")
    return given


def load(given):
    try:
        import transformers
    except ImportError:
        sys.exit("collect_stats: the Python package transformers is not installed")

    config = transformers.AutoConfig.from_pretrained(given.model)
    architecture = (config.architectures or ["AutoModel"])[0]
    kind = getattr(transformers, architecture, transformers.AutoModel)
    dtype = given.dtype if given.dtype == "auto" else getattr(torch, given.dtype)
    module = kind.from_pretrained(given.model, dtype=dtype).to(given.device).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(given.model)
    return module, tokenizer


def blocks_of(given, tokenizer):
    if given.random_inputs:
        return random_blocks(tokenizer, given.length, given.tokens, given.seed)
    if given.lines:
        return text_lines(tokenizer, given.text, given.length, given.tokens)
    return text_blocks(tokenizer, given.text, given.length, given.tokens)


def names_of(given, module):
    """{module name: layer name in the file} of the layers that are wanted."""
    modules = linear_layers(module)
    names = layer_names.match(list(modules), Model(given.weights or given.model).places)
    if not names:
        raise BadFile(f"no linear layer of the model is in '{given.weights or given.model}'")
    unknown = [name for name in modules if name not in names]
    if unknown:
        log(f"{len(unknown)} linear layers of the model are not in the file, {unknown[0]} for example")
    for pattern in given.include:
        names = {name: layer for name, layer in names.items() if re.search(pattern, f"{layer}.weight")}
    for pattern in given.exclude:
        names = {name: layer for name, layer in names.items() if not re.search(pattern, f"{layer}.weight")}
    if not names:
        raise BadFile("--include and --exclude leave no layer")
    return names


def log(text):
    print(text, file=sys.stderr)


@torch.no_grad()
def collect(module, names, batches, out, *, full=True, store="F32", layers_per_pass=None, log=log):
    """Writes the statistics of the layers `names` (module name -> name in the file) over all batches.

    Each of the batches is a dictionary of the module's arguments.  Returns the layers that no input reached.
    """
    layers = {name: module.get_submodule(name) for name in names}
    groups, not_reached = groups_of(module, layers, batches)
    firsts = list(groups)
    step = layers_per_pass or max(1, len(firsts))
    with statistics_file(out, names.values(), store) as writer:
        for begin in range(0, len(firsts), step):
            watch = Watch(layers, firsts[begin : begin + step], full=full)
            with watch.attached():
                for number, batch in enumerate(batches, 1):
                    log(f"pass {begin // step + 1} of {-(-len(firsts) // step)}, batch {number} of {len(batches)}")
                    module(**batch)
            for first, moments in watch.moments.items():
                statistics = moments.statistics()
                for name in groups[first]:
                    writer.add(names[name], statistics)
    return [names[name] for name in not_reached]


def groups_of(module, layers, batches):
    """Layers that share an input, by the first of them, and the layers that nothing reaches."""
    watch = Watch(layers, wanted=())
    with watch.attached():
        for batch in batches:
            module(**batch)
            if all(watch.calls.values()):
                break
    return watch.groups, [name for name, calls in watch.calls.items() if calls == 0]


def walk(given, module, names, batches):
    choice = ["--format", given.format, "--scales", given.scales, *given.convert]
    for pattern in given.exclude:
        choice += ["--exclude", pattern]
    for pattern in given.include:
        choice += ["--include", pattern]
    rounding = [
        "--rounding",
        "learned",
        "--learn-method",
        "feedback",
        "--scales",
        given.scales,
        "--bias-correction",
        "stats",
    ]
    rounding += ["--damping", given.damping] if given.damping else []
    rounding += ["--effort", given.effort] if given.effort else []
    source = given.weights or given.model
    Walk(module, names, batches, source, Halftone(given.halftone), dtype=given.store, log=log).quantize(
        given.output, choice, rounding
    )


def main(argv):
    given = arguments(argv)
    try:
        module, tokenizer = load(given)
        names = names_of(given, module)
        blocks = blocks_of(given, tokenizer)
        batches = batches_of(blocks, given.batch, given.device)
        log(f"{len(names)} layers, {sum(map(len, blocks))} tokens in {len(blocks)} sequences")
        if given.sequential:
            walk(given, module, names, batches)
        else:
            missed = collect(
                module,
                names,
                batches,
                given.output,
                full=not given.diagonal,
                store=given.store,
                layers_per_pass=given.layers_per_pass,
            )
            if missed:
                log(f"no input reached {len(missed)} layers, which have no statistics: {', '.join(missed)}")
    except (BadFile, NotFinite, OSError) as error:
        sys.exit(f"collect_stats: {error}")
    print(given.output)


if __name__ == "__main__":
    main(sys.argv[1:])
