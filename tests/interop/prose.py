"""English sentences out of the documentation that a machine has: what statistics are taken from, and tests made of.

    prose.py FILE... > sentences.txt

Reads POD (in .pod, .pm and .pl files), docstrings (.py), HTML, and plain text.  One sentence a line, each once.
"""

import ast
import html
import pathlib
import re
import sys

# Words of a sentence: fewer are headings and labels, more are lists that lost their marks.
FEWEST, MOST = 6, 60


def sentences_of(paths):
    """The sentences of all files, in their order, without repetitions."""
    seen = {}
    for path in paths:
        path = pathlib.Path(path)
        text = path.read_text(encoding="utf-8", errors="replace")
        for paragraph in _reader_of(path)(text):
            for sentence in _split(paragraph):
                seen.setdefault(sentence)
    return list(seen)


def _reader_of(path):
    if path.suffix in (".pod", ".pm", ".pl"):
        return _pod
    if path.suffix == ".py":
        return _docstrings
    if path.suffix in (".html", ".htm"):
        return _html
    return _plain


def _plain(text):
    return re.split(r"\n\s*\n", text)


def _pod(text):
    inside = False
    for paragraph in _plain(text):
        command = re.match(r"=(\w+)", paragraph)
        if command:
            inside = command[1] != "cut"
        elif inside and not paragraph.startswith((" ", "\t")):  # indented paragraphs are code
            yield _without_pod_marks(paragraph)


def _without_pod_marks(text):
    for _ in range(4):  # marks nest
        text = re.sub(r"[A-Z]<(?:<+ )?(?:[^<>|]*\|)?([^<>]*?)(?: >+)?>", r"\1", text)
    return text


def _docstrings(text):
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # of another Python: its docstrings are no loss
        return
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _plain(ast.get_docstring(node) or "")


def _html(text):
    for paragraph in re.findall(r"<p>(.*?)</p>", text, re.DOTALL):
        yield html.unescape(re.sub(r"<[^>]*>", "", paragraph))


def _split(paragraph):
    text = " ".join(paragraph.split())
    for sentence in re.split(r"(?<=[.!?]) (?=[A-Z])", text):
        if _is_prose(sentence):
            yield sentence


def _is_prose(sentence):
    words = sentence.split()
    if not FEWEST <= len(words) <= MOST or not re.match(r"[A-Z]", sentence) or sentence[-1] not in ".!?":
        return False
    letters = sum(c.isalpha() or c == " " for c in sentence)
    return letters >= 0.9 * len(sentence) and sentence.isascii()


if __name__ == "__main__":
    print("\n".join(sentences_of(sys.argv[1:])))
