"""README files: programs print what is shown, links lead somewhere, the map has every file."""

import contextlib
import io
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
# Not TOP.rglob: it may hold a virtual environment.
PAGES = [TOP / "README.md"] + [
    page for room in ("benchmarks", "minirnn", "tests") for page in (TOP / room).rglob("*.md")
]
SOURCES = sorted((TOP / "notebooks/source").glob("*.py"))
PEERS = ("torch", "onnx", "onnxruntime")
JUPYTER = ".venv/bin/jupyter lab --ServerApp.root_dir=. notebooks/00_start.ipynb"


def text_of(page):
    return page.read_text(encoding="utf-8")


def name_of(page):
    return page.relative_to(TOP).as_posix()


def programs(page):
    """The blocks of Python, each with the output that is shown directly below it, or None."""
    block = r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?"
    return re.findall(block, text_of(page), re.M | re.S)


def links(page):
    """Targets of links and pictures, except those to other sites."""
    text = re.sub(r"^```.*?^```", "", text_of(page), flags=re.M | re.S)
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'src="([^"]+)"', text)
    return [link for link in found if not re.match(r"[a-z]+:", link)]


def anchors(page):
    """What a heading is called in a link: small letters, hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def without_digits(printed):  # of errors, which are rounding, and of the place of the largest
    printed = re.sub(r"\d\.\d+e-\d+", "#", printed)
    return re.sub(r" +\S*\[.*| +(y|final) ?\S*$", "", printed, flags=re.M)


@pytest.mark.parametrize("page", [p for p in PAGES if programs(p)], ids=name_of)
def test_the_programs_print_what_is_shown(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for program, shown in programs(page):
        if re.search("import torch|onnx", program) and not all(map(find_spec, PEERS)):
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(program, names)
        assert without_digits(printed.getvalue()) == without_digits(shown)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_and_pictures_lead_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_notebooks_links_lead_somewhere(source):
    prose = re.findall(r"^# .*", text_of(source), re.M)
    for link in re.findall(r"\]\(([^)\s#]+)", "\n".join(prose)):
        assert link.startswith("https:") or (source.parent.parent / link).exists(), link


def test_the_map_links_every_source_file():
    rooms = TOP / "minirnn"
    maps = (rooms / "README.md", rooms / "experiments/README.md")
    linked = {(m.parent / link).resolve() for m in maps if m.exists() for link in links(m)}
    files = [file for file in rooms.rglob("*.py") if file.name != "__init__.py"]
    assert len(files) > 50
    assert [name_of(file) for file in files if file.resolve() not in linked] == []


def test_the_first_page_stays_short():
    assert text_of(TOP / "README.md").count("\n") <= 150


def test_the_notebooks_are_opened_with_one_command():
    """With another one, Jupyter's root is notebooks/, and every link to ../minirnn is lost."""
    named = {
        name_of(page): re.findall(r"[^\s`']*jupyter[ -](?:lab|notebook)\b[^`\n]*", text_of(page))
        for page in [*PAGES, *SOURCES, TOP / "notebooks/build.py"]
    }
    assert {page: commands for page, commands in named.items() if commands} == {
        "README.md": [JUPYTER],
        "notebooks/source/00_start.py": [JUPYTER],
    }
