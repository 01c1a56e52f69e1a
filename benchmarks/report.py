"""What the benchmarks found: tables, pictures, and what has become slower."""

import numpy as np
from matplotlib import pyplot as plt

GRIDS = ("forward and backward", "forward", "lengths")


def select(found, section, **wanted):
    for r in found["results"]:
        if r["section"] == section and all(r.get(k) == v for k, v in wanted.items()):
            yield r


def ratios_of_turns(turns):
    """For each other the median over the turns of its time / ours, from lists by name, "torch s"
    for instance. In a turn the two are measured one right after the other."""
    ours = turns.get("minirnn s", [])
    return {
        name.removesuffix(" s"): float(np.median(np.divide(theirs, ours)))
        for name, theirs in turns.items()
        if name != "minirnn s" and 0 < len(theirs) == len(ours)
    }


def ratio(r, other="torch"):
    """The other's time / ours; NaN where one is missing."""
    figures = r["figures"]
    of_medians = figures.get(f"{other} s", np.nan) / figures.get("minirnn s", np.nan)
    return r.get("ratios", {}).get(other, of_medians)  # a file of before 2026-11-26 has no ratios


def geometric_mean(values):
    values = [v for v in values if np.isfinite(v)]
    return float(np.exp(np.mean(np.log(values)))) if values else np.nan


def text_of(shape):
    return "(" + ", ".join(str(n) for n in shape) + ")"


def table(rows, header):
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def grid(found, section, threads, other="torch"):
    """Row names, shapes, and the ratios of a section (rows, shapes)."""
    results = [r for r in select(found, section, threads=threads) if ratio(r, other) > 0]
    shapes = list(dict.fromkeys(text_of(r["shape"]) for r in results))
    rows = list(dict.fromkeys(f"{r['cell']} {r['dtype']}" for r in results))
    values = np.full((len(rows), len(shapes)), np.nan)
    for r in results:
        place = rows.index(f"{r['cell']} {r['dtype']}"), shapes.index(text_of(r["shape"]))
        values[place] = ratio(r, other)
    return rows, shapes, values


def threads_of(found, section):
    return sorted({r["threads"] for r in select(found, section)})


def markdown(found):
    """All figures, as tables."""
    parts = ["# Benchmarks", ", ".join(f"{k} {v}" for k, v in found["machine"].items())]
    if "minutes" in found:
        parts.append(
            f"`python -m benchmarks{' --quick' * found['quick']}`, {found['minutes']} min."
        )
    for section in (*GRIDS, "numpy loop"):
        other = "numpy loop" if section == "numpy loop" else "torch"
        for n in threads_of(found, section):
            rows, shapes, values = grid(found, section, n, other)
            if not np.isfinite(values).any():
                continue
            body = [
                [name, *(f"{v:.2f}" for v in line), f"{geometric_mean(line):.2f}"]
                for name, line in zip(rows, values, strict=True)
            ]
            parts.append(f"## {section}: {other}'s time / ours, {n} thread{'s' * (n > 1)}")
            parts.append(table(body, ["(B, T, D, H)", *shapes, "mean"]))
            mean, worst = geometric_mean(values.ravel()), np.nanmin(values)
            parts.append(f"Geometric mean {mean:.2f}, worst {worst:.2f}.")
    limits = [r for r in select(found, "matrix products") if r["figures"]]
    if limits:
        parts.append("## The bare matrix products' time / ours, forward and backward, 1 thread")
        parts.append(
            table(
                [
                    [
                        f"{r['cell']} {r['dtype']}",
                        text_of(r["shape"]),
                        f"{ratio(r, 'products'):.2f}",
                    ]
                    for r in limits
                ],
                ["cell", "(B, T, D, H)", "share"],
            )
        )
    done = (*GRIDS, "numpy loop", "matrix products", "against size")
    for section in dict.fromkeys(r["section"] for r in found["results"]):
        if section in done:
            continue
        parts.append(f"## {section}")
        results = list(select(found, section))
        names = [k for k in results[0] if k not in ("section", "figures", "ratios")]
        kinds = list(dict.fromkeys(k for r in results for k in r["figures"]))
        compared = section in ("training step", "a single row")
        others = [k[:-2] for k in kinds if compared and k != "minirnn s"]
        body = [
            [str(r[k]) if np.isscalar(r[k]) else text_of(r[k]) for k in names]
            + [f"{r['figures'][k]:.4g}" if k in r["figures"] else "missing" for k in kinds]
            + [f"{ratio(r, k):.2f}" for k in others]
            for r in results
        ]
        parts.append(table(body, [*names, *kinds, *(f"{k} / ours" for k in others)]))
        if section == "threads":
            parts.append("Efficiency, the time of one thread / (threads * their time):")
            parts.append(efficiency(found))
    return "\n\n".join(parts) + "\n"


def figures(found, folder):
    """Draw the pictures; yields the files."""
    pictures = {"ratios": heat_map, "sizes": sizes, "threads": scaling, "tricks": tricks}
    for name, draw in pictures.items():
        figure = draw(found)
        if figure is not None:
            file = folder / f"{name}.png"
            figure.savefig(file, dpi=110, bbox_inches="tight")
            plt.close(figure)
            yield file


def heat_map(found):
    """The ratios by cell, dtype, shape and threads."""
    sections = [(s, n) for s in GRIDS for n in threads_of(found, s)]
    grids = {k: grid(found, *k) for k in sections}
    grids = {k: g for k, g in grids.items() if np.isfinite(g[2]).any()}
    if not grids:
        return None
    columns = max(len(threads_of(found, s)) for s in GRIDS)
    lines = -(-len(grids) // columns)
    size = (6.5 * columns, 3.2 * lines)
    figure, axes = plt.subplots(lines, columns, figsize=size, squeeze=False, layout="constrained")
    for ax, ((section, n), (rows, shapes, values)) in zip(axes.flat, grids.items(), strict=False):
        shown = ax.imshow(np.log2(values), cmap="RdBu", vmin=-2, vmax=2, aspect="auto")
        for (i, j), v in np.ndenumerate(values):
            colour = "white" if abs(np.log2(v)) > 1.2 else "black"
            ax.text(j, i, f"{v:.2g}" if v < 10 else f"{v:.0f}", ha="center", va="center", c=colour)
        ax.set_xticks(range(len(shapes)), [s.replace(", ", ",") for s in shapes], rotation=25)
        ax.set_yticks(range(len(rows)), rows)
        ax.set_title(f"{section}, {n} thread{'s' * (n > 1)}")
    bar = figure.colorbar(shown, ax=axes, ticks=range(-2, 3), shrink=0.6)
    bar.ax.set_yticklabels(["1/4", "1/2", "1", "2", "4 or more"])
    bar.set_label("PyTorch's time / ours (blue: we are faster)")
    return figure


def sizes(found):
    """Time against B, T and H, with the limit."""
    axes_names = list(dict.fromkeys(r["axis"] for r in select(found, "against size")))
    if not axes_names:
        return None
    size = (4.2 * len(axes_names), 3.6)
    figure, axes = plt.subplots(1, len(axes_names), figsize=size, sharey=True, layout="constrained")
    styles = {"minirnn": "o-", "torch": "s--", "products": "k:"}
    for ax, name in zip(axes, axes_names, strict=True):
        results = list(select(found, "against size", axis=name))
        place = "BTDH".index(name)
        for who, style in styles.items():
            points = [
                (r["shape"][place], 1e3 * r["figures"][f"{who} s"])
                for r in results
                if f"{who} s" in r["figures"]
            ]
            if points:
                label = {"products": "bare matrix products", "torch": "PyTorch"}.get(who, who)
                ax.loglog(*zip(*points, strict=True), style, label=label)
        ax.set_xlabel({"B": "batch B", "T": "steps T", "H": "hidden units H"}[name])
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("forward and backward, ms")
    axes[0].legend()
    figure.suptitle("LSTM, float32, 1 thread; elsewhere B = 32, T = 50, D = H = 64")
    return figure


def counts_of(r, who):
    """The numbers of threads that were measured for a result of "threads"."""
    names = (name.removesuffix(" s").split(", ") for name in r["figures"])
    return sorted(int(n) for name, n in names if name == who)


def scaling(found):
    """Time against threads, with the limit: the time of one thread / threads."""
    results = [r for r in select(found, "threads") if r["dtype"] == "float32" and r["figures"]]
    if not results:
        return None
    size = (3.2 * len(results), 3.4)
    figure, axes = plt.subplots(1, len(results), figsize=size, squeeze=False, layout="constrained")
    for ax, r in zip(axes.flat, results, strict=True):
        for who, style in {"minirnn": "o-", "torch": "s--"}.items():
            counts = counts_of(r, who)
            times = [1e3 * r["figures"][f"{who}, {n} s"] for n in counts]
            if times:
                label = "PyTorch" if who == "torch" else who
                ax.loglog(counts, times, style, base=2, label=label)
            if who == "minirnn" and times:
                limit = [times[0] * counts[0] / n for n in counts]
                ax.loglog(counts, limit, "k:", base=2, label="no thread ever waits")
        ax.set_title(text_of(r["shape"]))
        ax.set_xlabel("threads")
        ax.set_xticks(counts_of(r, "minirnn"), counts_of(r, "minirnn"))
        ax.grid(alpha=0.3)
    axes[0, 0].set_ylabel("forward and backward, ms")
    axes[0, 0].legend()
    figure.suptitle("LSTM, float32, (B, T, D, H)")
    return figure


def efficiency(found):
    """For each number of threads the time of one thread / (threads * their time), as a table."""
    results = [r for r in select(found, "threads") if r["figures"]]
    counts = sorted({n for r in results for n in counts_of(r, "minirnn")})
    rows = []
    for r in results:
        for who in ("minirnn", "torch"):
            t = {n: r["figures"][f"{who}, {n} s"] for n in counts_of(r, who)}
            shares = [f"{t[1] / (n * t[n]):.2f}" if n in t and 1 in t else "" for n in counts]
            rows.append([f"{who} {r['dtype']}", text_of(r["shape"]), *shares])
    return table(rows, ["LSTM", "(B, T, D, H)", *(f"{n} threads" for n in counts)])


def tricks(found):
    """The time with each trick switched off, relative to that with all."""
    results = [r for r in select(found, "tricks") if r["figures"]]
    if not results:
        return None
    names = [k for k in results[0]["figures"] if not k.startswith("as it is")]
    figure, ax = plt.subplots(figsize=(8, 0.7 * len(names) + 1.2), layout="constrained")
    height = 0.8 / len(results)
    for k, r in enumerate(results):
        base = r["figures"]["as it is s"]
        values = [r["figures"].get(name, np.nan) / base for name in names]
        label = f"{text_of(r['shape'])} {r['dtype']}, threads: {r.get('threads', 1)}"
        ax.barh(np.arange(len(names)) + k * height, values, height, label=label, edgecolor="white")
    ax.axvline(1, c="k", lw=1)
    ax.set_yticks(np.arange(len(names)) + 0.4 - height / 2, [n[:-2] for n in names])
    ax.set_xlabel("time of a forward and backward pass / time with all tricks")
    ax.invert_yaxis()
    figure.legend(loc="outside upper center", ncols=len(results), title="LSTM, (B, T, D, H)")
    return figure


def compare(old, new, allowed=1.1):
    """Print what has become slower, by the ratio to a peer where there is one; returns how many."""
    before = {key(r): r for r in old["results"]}
    slower, seen = 0, 0
    for r in new["results"]:
        earlier = before.get(key(r), {"figures": {}})
        was, now = earlier["figures"], r["figures"]
        if "minirnn s" not in was or "minirnn s" not in now:
            continue
        factor = now["minirnn s"] / was["minirnn s"]
        peer = next((k for k in now if k in was and not k.startswith("minirnn")), None)
        if peer and r["section"] != "import":  # the machine may have been faster or slower
            name = peer.removesuffix(" s")
            factor = ratio(earlier, name) / ratio(r, name)
        seen += 1
        if factor > allowed:
            slower += 1
            print(f"{factor:.2f} times as slow: {key(r)}")
    print(f"{slower} of {seen} cases slower by {allowed - 1:.0%} or more")
    return slower


def key(r):
    return ", ".join(f"{k} {v}" for k, v in r.items() if k not in ("figures", "ratios"))
