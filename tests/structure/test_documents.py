"""Tables of documents, held against the lists that they tell of.  Another list: a check here, and a case of FAULTS."""
import fnmatch
import pathlib
import re
import unittest

from document_sources import ROOT, Sources, cells, code_files, compare, names_in, plain, stem

README, MANUAL, ARCHITECTURE = "README.md", "docs/MANUAL.md", "ARCHITECTURE.md"
PRESETS, OPTIMIZERS, CUDA = "src/presets/README.md", "docs/OPTIMIZERS.md", "cuda/README.md"
OF_REFERENCE = "convert_to_quant July 2026, constants.py"


# --------------------------------------------------------------------------- formats
def check_readme_formats(sources):
    """Name, folder, summary and loaders as the program prints them, in its order; the sizes that it takes."""
    formats = sources.formats()
    found, sizes = {}, {}
    for row in sources.table(README, "`--format`"):
        name, = names_in(row[0])
        found[name] = (re.search(r"\((\S+)\)", row[0])[1], plain(row[1]), plain(row[-1]))
        sizes[name] = set(map(int, re.findall(r"\b\d+\b(?! byte)", row[3])))
    expected = {name: (f"src/formats/{facts.folder}/README.md", facts.summary, facts.loaders) for name, facts in formats.items()}
    objections = compare(f"{README}, formats", expected, found)
    for name, facts in formats.items():
        choice = facts.block_sizes or facts.group_sizes
        needed = {choice[0], min(choice), max(choice)} if choice else set()
        objections += [f"{README}, formats: {name} lacks the size {size}" for size in sorted(needed - sizes.get(name, needed))]
    if not objections and list(found) != list(expected):
        objections.append(f"{README}, formats: not in the order of formats.def")
    return objections


def option_rows(sources):
    """{long option of convert: its meaning}."""
    return {names_in(row[0])[-1].split("[")[0].split(" ")[0]: row[1] for row in sources.table(MANUAL, "option", "meaning", "default")}


def check_sizes_of_options(sources):
    """Each size of `--block-size` and the like, and the formats that take it."""
    formats, options = sources.formats(), option_rows(sources)
    objections = []
    for option, member in (("--block-size", "block_sizes"), ("--rotation-group", "rotation_groups"), ("--group-size", "group_sizes")):
        found = {}
        for part in options[option].split(";"):
            numbers, _, names = part.partition(", for ")
            found |= {name: sorted(map(int, re.findall(r"\d+", numbers))) for name in names_in(names)}
        expected = {name: sorted(getattr(facts, member)) for name, facts in formats.items() if getattr(facts, member)}
        objections += compare(f"{MANUAL}, {option}", expected, found)
    return objections


def check_formats_of_options(sources):
    """The formats that an option is for, or not for."""
    formats, options = sources.formats(), option_rows(sources)
    expected = {
        "--input-scale": {name for name, facts in formats.items() if facts.is_true("takes_input_scale")},
        "--double-quant": {name for name, facts in formats.items() if facts.is_true("takes_double_quant")},
        "--full-precision-mm": {name for name, facts in formats.items() if not facts.string("comfy_format")},
    }
    return compare(f"{MANUAL}, formats of options", expected, {option: formats.keys() & names_in(options[option]) for option in expected})


def check_indivisible(sources):
    """Formats that do not take every shape: what happens by default, and the plain form."""
    found = {name: (plain(row[2]), plain(row[3])) for row in sources.table(MANUAL, "format", "what it needs") for name in names_in(row[0])}
    expected = {name: ("keep" if facts.is_true("keeps_unfit") else "error", facts.string("plain") or "none")
                for name, facts in sources.formats().items() if not facts.takes_every_shape()}
    return compare(f"{MANUAL}, indivisible layers", expected, found)


# --------------------------------------------------------------------------- presets
def offered(sources):
    return {name: preset for name, preset in sources.presets().items() if not preset.get("hidden")}


def check_manual_presets(sources):
    found = {name: row[0] for row in sources.table(MANUAL, "group", "presets") for name in names_in(row[1])}
    return compare(f"{MANUAL}, presets", {name: preset["group"] for name, preset in offered(sources).items()}, found)


def kind_of(preset):
    if preset.get("hidden"):
        return "hidden"
    if "detect" not in preset and preset["name"] != "general":
        return "never chosen by auto"
    return "of the reference" if preset["origin"] == OF_REFERENCE else "Halftone's own"


def check_presets_readme(sources):
    """Each preset in the table of its kind, and the hidden ones in their sentence."""
    found = {name: "of the reference" for row in sources.table(PRESETS, "preset", "auto looks for", "auto also keeps") for name in names_in(row[0])}
    own = sources.section(PRESETS, "## Presets and how auto recognises them").split("Halftone's own:")[1]
    found |= {names_in(line)[0]: "Halftone's own" for line in own.splitlines() if line.startswith("| `")}
    found |= {name: "never chosen by auto" for row in sources.table(PRESETS, "row", "reason") for name in names_in(row[0])}
    hidden = re.search(r"^Hidden lists: (.*)$", sources.text(PRESETS), re.MULTILINE)[1]
    found |= {name: "hidden" for name in names_in(re.sub(r"\([^)]*\)", "", hidden))}
    return compare(PRESETS, {name: kind_of(preset) for name, preset in sources.presets().items()}, found)


# --------------------------------------------------------------------------- learned rounding
def check_learned_methods(sources):
    """Every method that can be asked for, and whether it needs statistics."""
    found = {names_in(row[0])[0]: row[2] != "nothing" for row in sources.table(MANUAL, "`--learn-method`")}
    methods = sources.entries("include/halftone/learn_method.def", "HALFTONE_LEARN_METHOD")
    expected = {name: needs == "moments" for name, needs, _ in methods if name != "nearest"}
    return compare(f"{MANUAL}, learned methods", expected, found)


def check_optimizers(sources):
    """The values of options that are lists of the code."""
    options = {names_in(row[0])[0].split(" ")[0]: names_in(row[1]) for row in sources.table(OPTIMIZERS, "option", "value")}
    objections = []
    for option, path, macro in (("--optimizer", "optimizer", "HALFTONE_OPTIMIZER"), ("--schedule", "learning_schedule", "HALFTONE_SCHEDULE"),
                                ("--scale-optimization", "scale_optimization", "HALFTONE_SCALE_OPTIMIZATION")):
        expected = dict.fromkeys(entry[0] for entry in sources.entries(f"include/halftone/{path}.def", macro))
        objections += compare(f"{OPTIMIZERS}, {option}", expected, dict.fromkeys(options[option]))
    return objections


# --------------------------------------------------------------------------- errors, commands, lists
def check_errors(sources):
    """Each kind with its exit code and its sentence; each exit code."""
    numbers = sources.exit_codes()
    expected = {kind: (numbers[code], meaning) for kind, code, meaning in sources.entries("include/halftone/error.def", "HALFTONE_ERROR")}
    found = {plain(row[0]): (row[1], row[2]) for row in sources.table(MANUAL, "kind", "exit code", "meaning")}
    objections = compare(f"{MANUAL}, kinds of errors", expected, found)
    codes = dict.fromkeys(["0", *numbers.values()])
    objections += compare(f"{MANUAL}, exit codes", codes, dict.fromkeys(row[0] for row in sources.table(MANUAL, "code", "meaning")))
    thrown = {number: name.replace(" ", "_").replace("/", "").lower() for number, name in
              (row[0].split(" ", 1) for row in sources.table(ARCHITECTURE, "exit code", "thrown by"))}
    return objections + compare(f"{ARCHITECTURE}, exit codes", {number: name for name, number in numbers.items()}, thrown)


def check_commands(sources):
    found = re.findall(r"^### (.*)$", sources.section(MANUAL, "## Commands"), re.MULTILINE)
    expected = dict.fromkeys(name for name, in sources.entries("tools/halftone/commands.def", "HALFTONE_COMMAND"))
    return compare(f"{MANUAL}, commands", expected, dict.fromkeys(", ".join(found).split(", ")))


def check_lists(sources):
    """The .def files."""
    sentence = re.search(r"These lists generate code: (.*?)\. ", sources.text(ARCHITECTURE))[1]
    files = [path.name for folder in ("include", "src", "tools", "cuda") for path in (ROOT / folder).rglob("*.def")]
    return compare(f"{ARCHITECTURE}, lists", dict.fromkeys(files), dict.fromkeys(name for name in names_in(sentence) if name.endswith(".def")))


# --------------------------------------------------------------------------- cuda
FILE_NAME = re.compile(r"[a-z0-9_/*]+(\.(cuh|cu|hpp|cpp|cu\.in))?")


def resolve(name, folder, files):
    """The files that a row about `folder` means by `name`, which may have a star; a whole folder by its slash."""
    pattern = stem(pathlib.PurePath(name)) if not name.endswith("/") else name
    tries = [pattern] if "/" in name else [f"{folder}/{pattern}", pattern]
    return next((matches for entry in tries if (matches := fnmatch.filter(files, entry.lstrip("/")))), [])


def check_cuda_files(sources):
    """Every file of the folder is named in the table, in the row of its folder, and what is named exists."""
    files = [path for path in code_files("cuda") if not path.startswith("tests/")]
    elsewhere = [f"src/{path}" for path in code_files("src")]
    named, objections = set(), []
    for row in sources.table(CUDA, "folder or file", "what"):
        first = names_in(row[0])
        folder = first[0].rpartition("/")[0]
        for name in first + names_in(row[1]):
            if name.endswith("/") or not FILE_NAME.fullmatch(name):
                continue
            matches = resolve(name, folder, files)
            named.update(matches)
            if not matches and name not in elsewhere:
                objections.append(f"{CUDA}: no file is called {name} in the row of {first[0]}")
    return objections + [f"{CUDA} lacks {path}" for path in files if path not in named]


CHECKS = [check_readme_formats, check_sizes_of_options, check_formats_of_options, check_indivisible, check_manual_presets,
          check_presets_readme, check_learned_methods, check_optimizers, check_errors, check_commands, check_lists, check_cuda_files]


class Documents(unittest.TestCase):
    def test_tables_are_those_of_the_code(self):
        for check in CHECKS:
            with self.subTest(check.__name__):
                objections = check(Sources())
                self.assertEqual(objections, [], "\n" + "\n".join(objections))


# A check, the file in which one text becomes another, and how the objection begins.
FAULTS = [
    (check_readme_formats, "src/formats/fp8/descriptor.cpp", "one scale per tensor", "a scale", "README.md, formats: fp8 is"),
    (check_readme_formats, README, "| [`int8-row`]", "| [`int8-line`]", "README.md, formats lacks int8-row"),
    (check_readme_formats, "src/formats/formats.def", "HALFTONE_FORMAT(w4a8)", "", "README.md, formats has w4a8"),
    (check_readme_formats, "src/formats/int8_block/descriptor.cpp", "{128, 64}", "{256, 64}", "README.md, formats: int8-block lacks the size 256"),
    (check_readme_formats, "src/formats/formats.def", "(fp8_row)\nHALFTONE_FORMAT(fp8_block)", "(fp8_block)\nHALFTONE_FORMAT(fp8_row)",
     "README.md, formats: not in the order"),
    (check_sizes_of_options, "src/formats/codebook_format.cpp", "2048, 4096}", "2048, 8192}", "docs/MANUAL.md, --block-size: nf4 is"),
    (check_sizes_of_options, "src/formats/w4a8/descriptor.cpp", ".group_sizes = ", ".sizes_of_groups = ", "docs/MANUAL.md, --group-size has w4a8"),
    (check_formats_of_options, "src/formats/int8/descriptor.cpp", '.name = "int8",', '.name = "int8", .takes_input_scale = true,',
     "docs/MANUAL.md, formats of options: --input-scale is"),
    (check_indivisible, "src/formats/int8_convrot/descriptor.cpp", ".keeps_unfit = true,", "", "docs/MANUAL.md, indivisible layers: int8-convrot is"),
    (check_indivisible, "src/formats/mxfp8/descriptor.cpp", ".heuristic_block", ".column_multiple = 32, .heuristic_block",
     "docs/MANUAL.md, indivisible layers lacks mxfp8"),
    (check_manual_presets, "src/presets/bert.json", '"group": "text"', '"group": "image"', "docs/MANUAL.md, presets: bert is"),
    (check_manual_presets, MANUAL, " `wan` |", " |", "docs/MANUAL.md, presets lacks wan"),
    (check_presets_readme, PRESETS, "| `mochi` |", "| `mocha` |", "src/presets/README.md lacks mochi"),
    (check_presets_readme, "src/presets/visual.json", '"rules"', '"detect": {}, "rules"', "src/presets/README.md: visual is"),
    (check_presets_readme, PRESETS, "Hidden lists: `avoid` (", "Hidden lists: (", "src/presets/README.md lacks avoid"),
    (check_learned_methods, MANUAL, "| `closed` |", "| `close` |", "docs/MANUAL.md, learned methods lacks closed"),
    (check_learned_methods, "include/halftone/learn_method.def", "(project, basis", "(project, moments", "docs/MANUAL.md, learned methods: project is"),
    (check_optimizers, "include/halftone/optimizer.def", "(adamw, AdamW", "(adam, AdamW", "docs/OPTIMIZERS.md, --optimizer lacks adam"),
    (check_optimizers, OPTIMIZERS, "`exponential`, `adaptive`", "`exponential`", "docs/OPTIMIZERS.md, --schedule lacks adaptive"),
    (check_errors, MANUAL, "| `no_space` | 4 |", "| `no_space` | 5 |", "docs/MANUAL.md, kinds of errors: no_space is"),
    (check_errors, "include/halftone/error.def", "\"a weight holds NaN", "\"a bias holds NaN", "docs/MANUAL.md, kinds of errors: not_finite is"),
    (check_errors, "include/halftone/error.hpp", "  device = 6,", "  device = 7,", "docs/MANUAL.md, exit codes lacks 7"),
    (check_errors, ARCHITECTURE, "| 5 unsupported |", "| 5 unknown |", "ARCHITECTURE.md, exit codes: 5 is"),
    (check_commands, "tools/halftone/commands.def", "HALFTONE_COMMAND(edit)", "HALFTONE_COMMAND(edit)\nHALFTONE_COMMAND(digest)",
     "docs/MANUAL.md, commands lacks digest"),
    (check_lists, ARCHITECTURE, "`products.def`, ", "", "ARCHITECTURE.md, lists lacks products.def"),
    (check_cuda_files, CUDA, "`small_factors`", "small ones", "cuda/README.md lacks learn/small_factors"),
    (check_cuda_files, CUDA, "`src/learn/device_count`", "`learn/device_count`", "cuda/README.md: no file is called learn/device_count"),
    (check_cuda_files, CUDA, "(`stream`)", "(`streams`)", "cuda/README.md: no file is called streams"),
]


class EachCheckCanFail(unittest.TestCase):
    def test_faults_are_named(self):
        for check, path, old, new, expected in FAULTS:
            with self.subTest(f"{path}: {old} becomes {new}"):
                objections = check(Sources({path: (old, new)}))
                self.assertTrue(any(objection.startswith(expected) for objection in objections), objections)

    def test_no_check_is_without_a_fault(self):
        self.assertEqual({check.__name__ for check, *_ in FAULTS}, {check.__name__ for check in CHECKS})

    def test_a_row_of_a_table_ends_at_bars_without_a_backslash(self):
        self.assertEqual(cells(r"| `a\|b` | c |"), [r"`a\|b`", "c"])


if __name__ == "__main__":
    unittest.main()
