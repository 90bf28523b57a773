"""What documents are held to: the lists of the code, and the tables of Markdown files."""
import json
import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
NAMES = re.compile(r"`([^`]+)`")
CODES = {"cpp", "hpp", "cu", "cuh", "def", "in"}


class Sources:
    """The files of the repository, some with one piece of text replaced: {path: (old, new)}."""

    def __init__(self, edits=None):
        self.edits = edits or {}

    def text(self, path):
        text = (ROOT / path).read_text(encoding="utf-8")
        if path in self.edits:
            old, new = self.edits[path]
            if old not in text:
                raise ValueError(f"{path} has no '{old}'")
            text = text.replace(old, new, 1)
        return text

    def entries(self, path, macro):
        """The arguments of each line of a .def file, without quotes."""
        text = self.text(path)
        lines = re.findall(rf"^{macro}\((.*)\)$", text, re.MULTILINE)
        if len(lines) != len(re.findall(rf"^{macro}\(", text, re.MULTILINE)):
            raise ValueError(f"{path} has entries of more than one line")
        return [[quoted or plain for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|(\w+)', line)] for line in lines]

    def section(self, path, heading):
        """What stands below a heading, up to the next one of its level or above."""
        level = len(heading.split(" ")[0])
        lines = self.text(path).splitlines()
        begin = lines.index(heading) + 1
        end = next((i for i in range(begin, len(lines)) if re.match(rf"#{{1,{level}}} ", lines[i])), len(lines))
        return "\n".join(lines[begin:end])

    def table(self, path, *head):
        """The cells of the rows of the first table whose columns are headed so, or begin so."""
        lines = self.text(path).splitlines()
        heads = (i for i, line in enumerate(lines) if cells(line)[:len(head)] == list(head))
        begin = next(heads, None)
        if begin is None:
            raise ValueError(f"{path} has no table with the head {head}")
        rows = []
        for line in lines[begin + 2:]:
            if not line.startswith("|"):
                break
            rows.append(cells(line))
        return rows

    def formats(self):
        """{name: facts} in the order of formats.def."""
        facts = [Facts(self, folder) for folder, in self.entries("src/formats/formats.def", "HALFTONE_FORMAT")]
        return {fact.name: fact for fact in facts}

    def presets(self):
        """{name: preset}, those included that are not offered."""
        return {path.stem: json.loads(self.text(str(path.relative_to(ROOT)))) for path in sorted((ROOT / "src/presets").glob("*.json"))}

    def exit_codes(self):
        """{name: number}, without that of success."""
        text = self.text("include/halftone/error.hpp")
        text = text[text.index("enum class ExitCode"):]
        return {name: number for name, number in re.findall(r"^  (\w+) = (\d+),", text[:text.index("};")], re.MULTILINE) if number != "0"}


class Facts:
    """Facts of a format, as its descriptor.cpp states them."""

    def __init__(self, sources, folder):
        text = sources.text(f"src/formats/{folder}/descriptor.cpp")
        self.folder = folder
        self.text = text[text.index("const FormatDescriptor& descriptor()"):]
        self.name, self.summary, self.loaders = map(self.string, ("name", "summary", "loaders"))
        flat = "codebook_format<Format>("
        self.block_sizes = flat_sizes(sources) if flat in self.text else self.numbers("block_sizes")
        self.rotation_groups, self.group_sizes = map(self.numbers, ("rotation_groups", "group_sizes"))

    def string(self, member):
        found = re.search(rf'\.{member} = ((?:"[^"]*"\s*)+)', self.text)
        return "".join(re.findall(r'"([^"]*)"', found[1])) if found else ""

    def numbers(self, member):
        found = re.search(rf"\.{member} = \{{([\d, ]*)\}}", self.text)
        return [int(number) for number in found[1].split(",")] if found else []

    def is_true(self, member):
        return f".{member} = true" in self.text

    def takes_every_shape(self):
        return not (self.block_sizes or self.rotation_groups or ".column_multiple" in self.text)


def flat_sizes(sources):
    found = re.search(r"codebook_block_sizes\(\) \{ return \{([\d, ]+)\}", sources.text("src/formats/codebook_format.cpp"))
    return [int(number) for number in found[1].split(",")]


def cells(line):
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def names_in(text):
    return NAMES.findall(text)


def plain(text):
    """Text without its marks of code."""
    return text.replace("`", "")


def stem(path):
    """A path without the extensions of its file."""
    return str(path.with_name(path.name.split(".")[0]))


def code_files(folder):
    """Paths of the code in a folder, relative to it and without extensions."""
    paths = (path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*"))
    return sorted({stem(path) for path in paths if path.name.split(".")[-1] in CODES})


def compare(where, expected, found):
    """Sentences about what differs between two {key: value} of the same kind."""
    objections = [f"{where} lacks {key}" for key in expected if key not in found]
    objections += [f"{where} has {key}, which is not there" for key in found if key not in expected]
    return objections + [f"{where}: {key} is {found[key]!r}, expected {value!r}" for key, value in expected.items()
                         if key in found and found[key] != value]
