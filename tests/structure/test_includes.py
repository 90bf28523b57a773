"""Who includes whom, held against the table of folders in ARCHITECTURE.md."""
import fnmatch
import pathlib
import re
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
SOURCES = {".cpp", ".hpp", ".cu", ".cuh", ".def", ".in"}
WHOLE = ("src", "include")  # entries that mean all folders below
WITHOUT_RULES = {"cuda/tests"}  # as tests and bench: they may include everything
INCLUDE = re.compile(r'^\s*#\s*include\s*(<[^>]+>|"[^"]+")')
NAMES = re.compile(r"`([^`]+)`")


def read_table(text):
    """{folder: [what it may include]}, from the table whose third column is headed so."""
    lines = text[text.index("| may include |"):].splitlines()[2:]
    rows = {}
    for line in lines:
        if not line.startswith("|"):
            break
        folder, _, allowed = line.strip("|").split(" | ")
        rows[NAMES.search(folder)[1]] = NAMES.findall(allowed)
    return rows


class Layering:
    def __init__(self, root):
        self.root = root
        self.rows = read_table((root / "ARCHITECTURE.md").read_text(encoding="utf-8"))

    def row_named(self, name):
        """The folder that an entry such as `base` means; None for the name of a file."""
        return next((folder for folder in (f"src/{name}", name) if folder in self.rows), None)

    def row_of(self, path):
        """The innermost folder of the table that holds `path`, or None."""
        return next((str(parent) for parent in pathlib.PurePath(path).parents if str(parent) in self.rows), None)

    def found(self, file, name):
        """The path of what `file` includes as `name`; one that a build generates, by its folder."""
        bases = [pathlib.PurePath(file).parent, "cuda", "src", "include"] if file.startswith("cuda/") else \
                [pathlib.PurePath(file).parent, "src", "include", "cuda"]
        paths = [str(pathlib.PurePath(base) / name) for base in bases]
        return next((path for path in paths if (self.root / path).is_file()), f"src/{name}")

    def allows(self, row, path):
        for entry in self.rows[row]:
            folder = self.row_named(entry)
            if entry in WHOLE and path.startswith(f"{entry}/"):
                return True
            if folder == self.row_of(path) if folder else path in (entry, f"src/{entry}", f"include/{entry}"):
                return True
        return self.row_of(path) == row

    def allows_outside(self, row, name):
        """Headers of others are for all, but for those that some row names: `<cuda*>`."""
        matches = [owner for owner, allowed in self.rows.items() for entry in allowed
                   if entry.startswith("<") and fnmatch.fnmatch(name, entry.strip("<>"))]
        return not matches or row in matches

    def objections_to(self, file):
        row = self.row_of(file)
        if row is None:
            return [f"{file}: its folder is not in the table"]
        objections = []
        for number, line in enumerate((self.root / file).read_text(encoding="utf-8").splitlines(), 1):
            include = INCLUDE.match(line)
            if include is None:
                continue
            name = include[1][1:-1]
            is_ours = include[1].startswith('"') or name.startswith("halftone/")
            fits = self.allows(row, self.found(file, name)) if is_ours else self.allows_outside(row, name)
            if not fits:
                objections.append(f"{file}:{number}: {row} may not include {name}")
        return objections

    def objections(self):
        tops = sorted({folder.split("/")[0] for folder in self.rows})
        files = [str(path.relative_to(self.root)) for top in tops for path in sorted((self.root / top).rglob("*"))
                 if path.suffix in SOURCES]
        return [objection for file in files if str(pathlib.PurePath(file).parent) not in WITHOUT_RULES
                for objection in self.objections_to(file)]

    def cycle(self):
        """Folders that may include each other, or []."""
        allowed = {row: {self.row_named(entry) for entry in entries} - {None} for row, entries in self.rows.items()}
        while leaves := {row for row, others in allowed.items() if not others & allowed.keys()}:
            allowed = {row: others for row, others in allowed.items() if row not in leaves}
        return sorted(allowed)


class Includes(unittest.TestCase):
    def test_every_include_is_allowed(self):
        objections = Layering(ROOT).objections()
        self.assertEqual(objections, [], "\n" + "\n".join(objections))

    def test_no_folders_may_include_each_other(self):
        self.assertEqual(Layering(ROOT).cycle(), [])

    def test_every_name_of_the_table_exists(self):
        layering = Layering(ROOT)
        for row, entries in layering.rows.items():
            self.assertTrue((ROOT / row).is_dir(), row)
            for entry in entries:
                if entry not in WHOLE and not entry.startswith("<") and layering.row_named(entry) is None:
                    self.assertTrue(any((ROOT / base / entry).is_file() for base in (".", "src", "include")), f"{row}: {entry}")


class SmallTree(unittest.TestCase):
    """The check itself, on a tree with two folders."""

    def objections(self, files, table=("`src/low` | bits | –", "`src/high` | words | `low`, `<outer/*>`")):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            head = "| folder | responsibility | may include |\n|---|---|---|\n"
            (root / "ARCHITECTURE.md").write_text(head + "".join(f"| {row} |\n" for row in table), encoding="utf-8")
            for name, text in {"src/low/a.hpp": "", "src/high/b.hpp": "", **files}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            layering = Layering(root)
            return layering.objections() + layering.cycle()

    def test_what_is_listed_passes(self):
        self.assertEqual(self.objections({"src/high/c.cpp": '#include "low/a.hpp"\n#include "high/b.hpp"\n#include <vector>\n'}), [])

    def test_what_is_not_listed_is_named_with_its_line(self):
        self.assertEqual(self.objections({"src/low/c.cpp": '\n#include "high/b.hpp"\n'}),
                         ["src/low/c.cpp:2: src/low may not include high/b.hpp"])

    def test_a_folder_without_a_row_is_named(self):
        self.assertEqual(self.objections({"src/new/c.cpp": ""}), ["src/new/c.cpp: its folder is not in the table"])

    def test_outside_headers_that_a_row_names_are_for_that_row_alone(self):
        self.assertEqual(self.objections({"src/high/c.cpp": "#include <outer/x.h>\n"}), [])
        self.assertEqual(self.objections({"src/low/c.cpp": "#include <outer/x.h>\n"}),
                         ["src/low/c.cpp:1: src/low may not include outer/x.h"])

    def test_a_file_may_be_listed_alone(self):
        table = ("`src/low` | bits | –", "`src/high` | words | `low/a.hpp`")
        files = {"src/low/z.hpp": "", "src/high/c.cpp": '#include "low/a.hpp"\n#include "low/z.hpp"\n'}
        self.assertEqual(self.objections(files, table), ["src/high/c.cpp:2: src/high may not include low/z.hpp"])

    def test_folders_that_may_include_each_other_are_named(self):
        self.assertEqual(self.objections({}, ("`src/low` | bits | `high`", "`src/high` | words | `low`")), ["src/high", "src/low"])


if __name__ == "__main__":
    unittest.main()
