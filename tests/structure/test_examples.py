"""The worked examples of CONTRIBUTING.md, as far as they are C++ files and lines of tables, given to the compiler, and with
them what the repository makes of such lines."""
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
# A fenced block, after a paragraph that names a file.
BLOCK = re.compile(r"`(?P<path>[\w/]+\.(?:cpp|hpp|def))`[^\n]*\n\n```(?:cpp)?\n(?P<text>.*?)^```", re.DOTALL | re.MULTILINE)

# Sources that expand a table: with the line of the example they must compile as they are.
EXPANSIONS = {
    "include/halftone/optimizer.def": ("src/learn/optimizer.cpp", "src/learn/optimize.cpp", "src/learn/methods/optimizer.cpp",
                                       "src/cpu/learn/optimizer_steps.cpp", "tools/halftone/optimizer_arguments.cpp"),
    "include/halftone/learn_method.def": ("src/learn/method.cpp",),
}
OPTIMIZERS = "include/halftone/optimizer.def"


def is_table(path):
    return path.endswith(".def")


def read_examples(text):
    """{path: contents} of new files; of a table, the lines that are added to it."""
    text = text[text.index("## Worked examples"):text.index("## Style")]
    blocks = {block["path"]: block["text"] for block in BLOCK.finditer(text)}
    return {path: text for path, text in blocks.items() if is_table(path) or not (ROOT / path).exists()}


def write_examples(examples, folder):
    for path, text in examples.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        table = (ROOT / path).read_text(encoding="utf-8") if is_table(path) else ""
        file.write_text(table + text, encoding="utf-8")
    if OPTIMIZERS in examples:
        write_all_optimizers(folder)


def write_all_optimizers(folder):
    """What the build makes of the table of optimizers."""
    names = re.findall(r"^HALFTONE_OPTIMIZER\((\w+)", (folder / OPTIMIZERS).read_text(encoding="utf-8"), re.MULTILINE)
    file = folder / "src/learn/all_optimizers.hpp"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f'#include "learn/optimizers/{name}.hpp"\n' for name in names), encoding="utf-8")


def compile_example(folder, path):
    """What the compiler objects to; `path`: in `folder`, or else in the repository."""
    own = [f"-I{folder / name}" for name in ("include", "src")]
    repository = [f"-I{ROOT / name}" for name in ("include", "src", "tools/halftone")]
    command = [os.environ.get("CXX", "c++"), "-std=c++20", "-fsyntax-only", "-Wall", "-Werror", *own, *repository, "-x", "c++", "-"]
    file = folder / path
    source = f'#include "{file if file.exists() else ROOT / path}"\n'  # headers too are files that others include
    return subprocess.run(command, input=source, capture_output=True, text=True, check=False).stderr


class ExamplesCompile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.examples = read_examples((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))

    def objections(self, examples):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            write_examples(examples, folder)
            sources = [path for path in examples if not is_table(path)]
            sources += [source for table, users in EXPANSIONS.items() if table in examples for source in users]
            return {path: errors for path in sources if (errors := compile_example(folder, path))}

    def test_every_kind_of_example_is_found(self):
        for folder in ("src/formats", "src/learn/optimizers", "src/learn/methods", "tools/halftone"):
            self.assertTrue(any(path.startswith(folder) and path.endswith("pp") for path in self.examples), folder)
        self.assertGreaterEqual(sum(map(is_table, self.examples)), 5)

    def test_all_compile(self):
        self.assertEqual(self.objections(self.examples), {})

    def test_an_example_with_an_outdated_signature_does_not(self):
        method = "src/learn/methods/flips.cpp"
        outdated = self.examples[method].replace(", DeviceKind device)", ")", 1)
        self.assertNotEqual(outdated, self.examples[method])
        tables = {path: text for path, text in self.examples.items() if is_table(path)}
        self.assertIn(method, self.objections({**tables, method: outdated}))

    def test_a_type_without_what_the_table_asks_for_does_not(self):
        optimizer = "src/learn/optimizers/momentum.hpp"
        lacking = re.sub(r"^.*kUsualIterations.*\n", "", self.examples[optimizer], flags=re.MULTILINE)
        self.assertNotEqual(lacking, self.examples[optimizer])
        examples = {optimizer: lacking, OPTIMIZERS: self.examples[OPTIMIZERS]}
        self.assertEqual(list(self.objections(examples)), ["src/learn/methods/optimizer.cpp"])


if __name__ == "__main__":
    unittest.main()
