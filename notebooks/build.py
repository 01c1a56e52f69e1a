"""Make the notebooks from their sources, or check that they are what the sources make.

    python notebooks/build.py                 # run all and write notebooks/*.ipynb
    python notebooks/build.py 03 06           # some of them
    python notebooks/build.py --check         # run all; fail if one is not what is committed
    python notebooks/build.py --check --exact # the same to the last byte, on the same machine

A source is ``notebooks/source/NN_name.py`` in jupytext's percent format. Cells with these tags are
special: ``exercise`` (what the student fills in), ``solution`` (its answer, which is not in the
notebook), ``check`` (must fail in the notebook, and pass with the solution), ``clock`` (shows
measured times: its output is kept from the committed notebook as long as the code up to there has
not changed, so that a rebuild is the same byte for byte; ``--fresh`` measures anew), ``cover`` (its
picture is that of the chapter in the README).

A notebook runs once, as students see it. Then, in the same kernel, each solution runs and its check
again. That is enough, since no other cell may use a function that the student writes.

The committed notebooks were made with the real data sets that ``MINIRNN_DATA`` names. Without them
they run all the same, and ``--check`` compares nothing.
"""

import argparse
import ast
import base64
import concurrent.futures
import hashlib
import os
import re
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).resolve().parent
# One thread for NumPy's own products, so that sums are in the same order on every machine; no
# sliders; pictures in the page, whatever the backend outside.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1", "MINIRNN_STATIC": "1", "NO_COLOR": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
}  # fmt: skip
KEPT_TAGS = ("exercise", "check", "clock", "cover")
GOES_ON = "raises-exception"  # the tag of a cell after whose error Run All goes on
LIMIT = 180  # seconds a notebook may take on a busy machine; alone it takes half of it
SIZE = 1_000_000  # bytes


def sources() -> list[Path]:
    return sorted((HERE / "source").glob("[0-9][0-9]_*.py"))


def tags(cell) -> list[str]:
    return cell.metadata.get("tags", [])


def read(source: Path) -> list[nbformat.NotebookNode]:
    """All cells of a source."""
    return jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent").cells


def seen_by_students(cells) -> nbformat.NotebookNode:
    """The notebook, without solutions and without outputs."""
    cells = [cell.copy() for cell in cells if "solution" not in tags(cell)]
    seen: dict[str, int] = {}
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = f"{digest}-{seen[digest]}"
        kept = [tag for tag in tags(cell) if tag in KEPT_TAGS]
        if "check" in kept:
            kept.append(GOES_ON)
        cell.metadata = nbformat.from_dict({"tags": kept} if kept else {})
    return nbformat.v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
    )


def answers(cells) -> list[nbformat.NotebookNode]:
    """Each solution, and its check, which comes after it."""
    return [
        nbformat.v4.new_code_cell(cell.source, metadata={"tags": [*tags(cell), GOES_ON]})
        for cell in cells
        if "solution" in tags(cell) or "check" in tags(cell)
    ]


def execute(notebook: nbformat.NotebookNode, then: list[nbformat.NotebookNode]) -> None:
    """Run all cells, and then others, in one kernel, in the folder of the notebooks."""
    os.environ.update(ENVIRONMENT)
    own = notebook.cells
    notebook.cells = own + then
    client = NotebookClient(
        notebook, timeout=600, kernel_name="python3", record_timing=False,
        resources={"metadata": {"path": str(HERE)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )  # fmt: skip
    client.execute()
    notebook.cells = own
    for cell in own:
        if cell.cell_type == "code":
            cell.outputs = [tidy(output) for output in merged(cell.outputs)]
            cell.metadata.pop("execution", None)
    notebook.metadata["language_info"] = {"name": "python"}


def merged(outputs):
    """Pieces of one stream, which come cut at random, as one."""
    found = []
    for output in outputs:
        if output.output_type == "stream" and found and found[-1].get("name") == output.name:
            found[-1].text += output.text
        else:
            found.append(output)
    return found


def tidy(output):
    """Without what differs from run to run: addresses in memory."""
    for data in (output, output.get("data", {})):
        for key in ("text", "text/plain"):
            if isinstance(data.get(key), str):
                data[key] = re.sub(r" at 0x[0-9a-f]+", "", data[key])
    return output


def keep_clocks(notebook, committed: Path) -> None:
    """Take the outputs of ``clock`` cells over from the committed notebook, if nothing changed."""
    if not committed.exists():
        return
    old = nbformat.read(committed, as_version=4)
    for new_cell, old_cell in zip(notebook.cells, old.cells, strict=False):
        if (new_cell.id, tags(new_cell)) != (old_cell.id, tags(old_cell)):
            return
        if "clock" in tags(new_cell):
            new_cell.outputs = old_cell.outputs


def faults(cells, solved: bool) -> list[str]:
    """What must not be: checks that fail when solved, or that pass when unsolved; lost warnings."""
    found = []
    for cell in cells:
        if cell.cell_type == "markdown":
            found += broken_links(cell.source)
            continue
        errors = [output.evalue for output in cell.outputs if output.output_type == "error"]
        if solved and errors:
            found.append(f"with the solutions: {cell.source!r}: {errors[0]}")
        elif not solved and "check" in tags(cell) and not errors:
            found.append(f"a check passes unsolved: {cell.source!r}")
        noise = [o.text for o in cell.outputs if o.output_type == "stream" and o.name == "stderr"]
        if noise:
            found.append(f"output on stderr: {noise[0][:200]!r}")
    return found


def misused(cells) -> list[str]:
    """Functions of the student's that a cell other than a check uses, or that no check uses."""
    found, written, unchecked = [], set(), set()
    for cell in cells:
        if cell.cell_type != "code":
            continue
        code, kinds = ast.parse(cell.source), set(tags(cell))
        used = written & {node.id for node in ast.walk(code) if isinstance(node, ast.Name)}
        if kinds & {"exercise", "solution"}:
            if not all(isinstance(node, ast.FunctionDef) for node in code.body):
                found.append(f"more than a function for the student to write: {cell.source!r}")
            new = {node.name for node in code.body if isinstance(node, ast.FunctionDef)}
            written |= new
            unchecked |= new
        elif "check" in kinds:
            unchecked -= used
        elif used:
            found.append(f"{', '.join(used)}: the student's, used outside of a check")
    return found + [f"{name}: has no check" for name in sorted(unchecked)]


def broken_links(text: str) -> list[str]:
    """Links to files that do not exist, or as [`name`](file) to one that does not define name."""
    found = []
    for label, target in re.findall(r"\[([^]]*)\]\(([^)#]+)[^)]*\)", text):
        if target.startswith(("http:", "https:")):
            continue
        path = HERE / target
        if path.suffix == ".ipynb":
            path = HERE / "source" / f"{path.stem}.py"
        if not path.exists():
            found.append(f"a link to {target}, which does not exist")
        elif target.endswith(".py") and (name := re.fullmatch(r"`([A-Za-z_]\w*)`", label)):
            defined = rf"^\s*(def|class) {name[1]}\b|^{name[1]}\b.*="
            if not re.search(defined, path.read_text(encoding="utf-8"), re.M):
                found.append(f"a link to {name[1]} in {target}, which does not define it")
    return found


def cover(notebook) -> bytes:
    """The chapter's picture, empty if there is none."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()) if "cover" in tags(cell) else ():
            if "image/png" in output.get("data", {}):
                return base64.b64decode(output["data"]["image/png"])
    return b""


def text_of(notebook) -> str:
    return nbformat.writes(notebook, version=4) + "\n"


def build(source: Path, given: argparse.Namespace) -> tuple[str, float, list[str]]:
    """Run one; returns its name, the seconds it took, and what is wrong."""
    started, committed = time.perf_counter(), HERE / f"{source.stem}.ipynb"
    cells = read(source)
    notebook, solved = seen_by_students(cells), answers(cells)
    try:
        execute(notebook, solved)
    except CellExecutionError as error:
        message = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()  # without colours
        return source.stem, time.perf_counter() - started, [message]
    seconds = time.perf_counter() - started
    wrong = [
        *misused(cells),
        *faults(notebook.cells, solved=False),
        *faults(solved, solved=True),
    ]
    if not given.fresh:
        keep_clocks(notebook, committed)
    text = text_of(notebook)
    if len(text) > SIZE:
        wrong.append(f"{len(text)} bytes, more than {SIZE}")
    compared = bool(os.environ.get("MINIRNN_DATA"))
    same = committed.exists() and (agrees(notebook, committed, given.exact) or not compared)
    if given.check and not same:
        wrong.append(f"{committed.name} is not what the source makes: run build.py {source.stem}")
    elif not given.check:
        committed.write_text(text, encoding="utf-8", newline="\n")
        if picture := cover(notebook):
            (HERE / "pictures" / f"{source.stem}.png").write_bytes(picture)
        else:
            wrong.append("no cell with the tag cover has a picture")
    return source.stem, seconds, wrong


def agrees(notebook, committed: Path, exact: bool) -> bool:
    """Same cells, same kinds of output, same errors.

    On another processor the last digits of a training may differ, and so its printed numbers; what
    the prose claims of them is asserted in the cells. exact: the same bytes.
    """
    if exact:
        return text_of(notebook) == committed.read_text(encoding="utf-8")

    def outputs(cell):
        return cell.get("outputs", ())

    def essence(nb):
        return [
            (cell.id, cell.source, [(o.output_type, o.get("evalue")) for o in outputs(cell)])
            for cell in nb.cells
        ]

    return essence(notebook) == essence(nbformat.read(committed, as_version=4))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", help="the first letters of some (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    parser.add_argument("--exact", action="store_true", help="compare to the last byte")
    parser.add_argument("--fresh", action="store_true", help="measure times anew")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    given = parser.parse_args()
    chosen = [s for s in sources() if not given.names or s.name.startswith(tuple(given.names))]
    if not chosen:
        parser.error(f"names: none of {', '.join(s.stem for s in sources())}")
    failed = 0
    for jobs, some in (
        (given.jobs, [s for s in chosen if not timed(s)]),
        (1, filter(timed, chosen)),
    ):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            running = [pool.submit(build, source, given) for source in some]
            for job in concurrent.futures.as_completed(running):
                name, seconds, wrong = job.result()
                if seconds > LIMIT and jobs == 1:
                    wrong.append(f"it took more than {LIMIT} s")
                print(f"{name:<28} {seconds:5.1f} s   {'WRONG' if wrong else 'ok'}", flush=True)
                print("".join(f"    {line}\n" for line in wrong), end="", flush=True)
                failed += bool(wrong)
    return 1 if failed else 0


def timed(source: Path) -> bool:
    """Whether a notebook measures times, and so wants the machine for itself."""
    return '"clock"' in source.read_text(encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
