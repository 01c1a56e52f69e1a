"""Speech: what a path spells, one step of alpha, and the gradient of CTC.

Axes: T steps, V labels (0 is the blank), L states of the lattice: a blank before, between and after
the labels of the target.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np

from minirnn.exercises.common import exercise, judge_against
from minirnn.protocol import Array

# ---- A path, and what it spells -----------------------------------------------------------------


def spelled(path: Sequence[int], blank: int = 0) -> list[int]:
    """What is left when equal neighbours are merged, and then the blanks removed."""
    kept = [k for t, k in enumerate(path) if t == 0 or k != path[t - 1]]
    return [int(k) for k in kept if k != blank]


def blanks_first(path, blank):
    return spelled([k for k in path if k != blank], -1)


def ring(path, blank):
    return [k for t, k in enumerate(path) if k not in (path[t - 1], blank)]


def after_a_blank(path, blank):
    return [k for t, k in enumerate(path) if k != blank and (t == 0 or path[t - 1] == blank)]


def no_last_run(path, blank):
    return [a for a, b in itertools.pairwise(path) if a not in (b, blank)]


def no_first_step(path, blank):
    return [b for a, b in itertools.pairwise(path) if b not in (a, blank)]


def as_array(slip):
    """A slip whose answer is an array, to be compared with arrays and lists."""
    return lambda path, blank: np.array(slip(path, blank))


@exercise(
    "Which steps bring a new label? Only the step before matters, not the label kept last.",
    "Two rules in this order: first drop every step that is equal to the step before it, then drop "
    "the blanks. The first step has no step before it, and stays.",
    "[k for t, k in enumerate(path) if k != blank and (t == 0 or k != path[t - 1])].",
)
def collapse(student: Callable) -> str:
    """``collapse(path, blank)``: path (T,) of labels to the labels that it spells, a list."""
    cases = {
        "three unlike labels, no blank": ([3, 1, 2], 0),
        "blanks between unlike labels": ([0, 3, 0, 1, 2, 0], 0),
        "labels that last: 3 3 1 1 1 2": ([3, 3, 1, 1, 1, 2], 0),
        "the same label twice, a blank between: 3 0 3": ([3, 0, 3], 0),
        "the same label twice, a longer blank between: 2 2 0 0 2": ([2, 2, 0, 0, 2], 0),
        "a label that comes back: 1 2 1": ([1, 2, 1], 0),
        "the last label is the first: 2 1 1 2 2": ([2, 1, 1, 2, 2], 0),
        "blanks only (the answer is an empty list)": ([0, 0, 0], 0),
        "one step": ([4], 0),
        "the blank has the number 3, and 0 is a label": ([0, 0, 3, 0, 1, 3, 3], 3),
    }
    mistakes = {
        "a label that comes again after a blank is lost. Are the blanks removed first, or is each "
        "label compared with the last one kept? Compare with the step before": blanks_first,
        "the blanks are removed, but equal neighbours are not merged": (
            lambda path, blank: [k for k in path if k != blank]
        ),
        "equal neighbours are merged, but the blanks are still there": (
            lambda path, blank: spelled(path, -1)
        ),
        "every label is kept once only. It may come back": (
            lambda path, blank: list(dict.fromkeys(k for k in path if k != blank))
        ),
        "the labels are sorted, as np.unique does. Their order matters": (
            lambda path, blank: sorted({k for k in path if k != blank})
        ),
        "the first step is compared with the last one: path[t - 1] is path[-1] for t = 0": ring,
        "a label counts only if a blank, or nothing, stands before it. An unlike label may stand "
        "there too": after_a_blank,
        "the last label is lost if no blank follows. After the last step nothing comes, and its "
        "label counts": no_last_run,
        "the first step is lost. It has no step before it, and counts": no_first_step,
        "the blank is taken to be 0; it is the argument blank": lambda path, blank: spelled(path),
    }
    return judge_against(
        student,
        spelled,
        {label: (np.array(path), blank) for label, (path, blank) in cases.items()},
        {sentence: as_array(slip) for sentence, slip in mistakes.items()},
        {"labels": ("place",)},
    )


# ---- The lattice --------------------------------------------------------------------------------


def states_of(target: Sequence[int], blank: int = 0) -> Array:
    """label (L,): the label of each state, a blank before, between and after those of target."""
    label = np.full(2 * len(target) + 1, blank)
    label[1::2] = target
    return label


def step(before, y, label, skip="unlike", stay=1.0, advance=1.0, old=True, place="label"):
    """One step of alpha, with slips: the right answer without any of the options."""
    before, now = before.copy(), np.zeros(len(label))
    for s in range(len(label)):
        unlike = s > 1 and label[s] != label[s - 2]
        skips = {
            "unlike": unlike, "never": False, "always": s > 1, "labels": s > 1 and s % 2 == 1,
            "equal": s > 1 and not unlike,
        }[skip]  # fmt: skip
        total = stay * before[s]
        total += advance * before[s - 1] if s > 0 else 0.0
        total += before[s - 2] if skips else 0.0
        factor = {"label": y[label[s]], "none": 1.0, "state": y[s % len(y)], "blank": y[0]}[place]
        now[s] = factor * total
        if not old:
            before[s] = now[s]
    return now


def ring_step(before, y, label):
    """s - 1 and s - 2 are taken as they are: -1 is the last state."""
    return np.array([
        y[label[s]] * (before[s] + before[s - 1] + (label[s] != label[s - 2]) * before[s - 2])
        for s in range(len(label))
    ])  # fmt: skip


def ring_everywhere(before, y, label):
    return y[label] * (before + np.roll(before, 1) + np.roll(before, 2))


def ring_0(before, y, label):
    now = step(before, y, label)
    now[0] += y[label[0]] * before[-1]
    return now


def from_behind(before, y, label):
    """The step of a recursion from the end to the beginning."""
    return step(before[::-1], y, label[::-1])[::-1]


def slip(**options):
    return lambda before, y, label: step(before, y, label, **options)


@exercise(
    "A path is in state s at this step. In which states can it have been at the step before? Draw "
    "the arrows that end in s: there are one, two or three.",
    "It was in s, in s - 1 (if there is such a state), or in s - 2 (if there is one, and label[s] "
    "is unlike label[s - 2]; two blanks are alike, so a blank is never reached by a skip). Add up "
    "their alphas of the step before. One factor y comes on top, that of the label of s.",
    "now = before.copy(); now[1:] += before[:-1]; skip = label[2:] != label[:-2]; now[2:] += skip "
    "* before[:-2]; return y[label] * now.",
)
def alpha_step(student: Callable) -> str:
    """``alpha_step(before, y, label)``: alpha (L,) at a step, from alpha at the step before.

    y (V,): probabilities at this step. label (L,): the label of each state.
    """
    rng = np.random.default_rng(0)

    def case(target, where=None, V=6):
        label, y = states_of(target), rng.dirichlet(np.ones(V))
        before = rng.uniform(0.1, 1, len(label))
        if where is not None:
            before = np.zeros(len(label))
            before[where] = 0.5
        return before, y, label

    return judge_against(
        student,
        step,
        {
            "one label, all paths in state 0": case([2], 0),
            "one label, all paths in state 1": case([2], 1),
            "two unlike labels, all paths in state 1, a label (it may skip the blank)": (
                case([2, 5], 1)
            ),
            "two unlike labels, all paths in state 2, a blank (it may not skip a label)": (
                case([2, 5], 2)
            ),
            "two equal labels, all paths in state 1 (the blank must keep them apart)": (
                case([3, 3], 1)
            ),
            "two unlike labels, all paths in the last state": case([2, 5], -1),
            "four labels, two neighbours equal, paths everywhere": case([4, 1, 1, 2]),
            "four labels, the same one in places 0 and 2": case([4, 1, 4, 2]),
        },
        {
            "there is no skip: from a label a path may go to the next unlike label at once": (
                slip(skip="never")
            ),
            "the skip is allowed everywhere, also over a label, which then would not be said. "
            "Only a blank between unlike labels may be skipped": slip(skip="always"),
            "the skip is allowed between equal labels too. Without a blank between them they would "
            "merge": slip(skip="labels"),
            "the skip is allowed between equal labels only; it is the other way round": (
                slip(skip="equal")
            ),
            "the first states have the last ones before them: an index of -1 is the end of an "
            "array (and np.roll goes round)": ring_step,
            "state 0 is reached from the last one: before[s - 1] is before[-1] for s = 0": ring_0,
            "the arrows are turned round: a path comes from s, s - 1 and s - 2, not from s + 1 and "
            "s + 2": from_behind,
            "alpha of state s - 1 is already that of this step. Is the array overwritten while it "
            "is still read? Use two arrays": slip(old=False),
            "two things: the skip is allowed everywhere, and the first states have the last ones "
            "before them (np.roll goes round)": ring_everywhere,
            "only paths that stay in their state are counted": lambda before, y, label: (
                y[label] * before
            ),
            "a path that stays in its state is left out": slip(stay=0.0),
            "a path that comes from state s - 1 is left out": slip(advance=0.0),
            "the factor y of this step is missing": slip(place="none"),
            "y is indexed by the state; it is the label of the state, y[label[s]]": (
                slip(place="state")
            ),
            "y of the blank is taken for all states": slip(place="blank"),
            "the result is divided by its sum. It is a probability of paths, no distribution over "
            "the states": lambda *a: step(*a) / step(*a).sum(),
            "it is a logarithm. Here alpha is a plain probability": lambda *a: np.log(step(*a)),
        },
        {"alpha": ("state",)},
    )


# ---- The gradient -------------------------------------------------------------------------------


def alpha_beta(y: Array, label: Array) -> tuple[Array, Array]:
    """alpha and beta (T, L), plain probabilities, for y (T, V) and the states' labels (L,).

    beta[t, s] is what is still to come *after* step t, so that alpha beta is a probability of paths
    at every step. For short sequences only: plain products of very many steps underflow.
    """
    T, L = len(y), len(label)
    alpha, beta = np.zeros((T, L)), np.zeros((T, L))
    alpha[0, :2], beta[-1, -2:] = y[0, label[:2]], 1
    for t in range(1, T):
        alpha[t] = step(alpha[t - 1], y[t], label)
    for t in range(T - 2, -1, -1):
        beta[t] = onward(y[t + 1, label] * beta[t + 1], label)
    return alpha, beta


def onward(later: Array, label: Array) -> Array:
    """The sum over the states that a path in s may be in at the next step."""
    return step(later[::-1], np.ones(int(label.max()) + 1), label[::-1])[::-1]


def gradient(y, alpha, beta, label, visits=None, sign=1.0, softmax=1.0, scale=1.0, add=True):
    """The softmax minus the expected visits, with slips."""
    if visits is None:
        visits = alpha * beta / np.sum(alpha * beta, axis=1, keepdims=True)
    of_label = np.zeros_like(y)
    for s, k in enumerate(label):
        of_label[:, k] = visits[:, s] + (of_label[:, k] if add else 0)
    return scale * sign * (softmax * y - of_label)


def right_gradient(y, alpha, beta, label):
    return gradient(y, alpha, beta, label)


def visited(make):
    """The gradient with other visits (T, L): make(product of alpha and beta, y at the states)."""
    return lambda y, alpha, beta, label: gradient(
        y, alpha, beta, label, make(alpha * beta, y[:, label])
    )


def slope_of(**options):
    return lambda y, alpha, beta, label: gradient(y, alpha, beta, label, **options)


def by_y(y, alpha, beta, label):
    """The gradient with respect to y, not to the logits."""
    return gradient(y, alpha, beta, label, softmax=0.0) / y


def from_alpha(y, alpha, beta, label):
    return gradient(y, alpha, beta, label, alpha / alpha.sum(axis=1, keepdims=True))


def from_beta(y, alpha, beta, label):
    return gradient(y, alpha, beta, label, beta / beta.sum(axis=1, keepdims=True))


def of_best_path(y, alpha, beta, label):
    visits = np.zeros_like(alpha)
    visits[np.arange(len(y)), np.argmax(alpha * beta, axis=1)] = 1
    return gradient(y, alpha, beta, label, visits)


def with_end(last):
    """Divided by what some of the last alphas add up to."""
    return lambda y, alpha, beta, label: gradient(
        y, alpha, beta, label, alpha * beta / alpha[-1, last].sum()
    )


@exercise(
    "alpha beta is, for each step and state, the probability of the paths that are there and spell "
    "the target. What must it be divided by, so that it adds up to 1 over the states?",
    "visits = alpha * beta / p, with p = alpha[-1, -1] + alpha[-1, -2], the last label and "
    "the blank behind it, where a path may end. Add the visits of all states with the same label.",
    "visits = alpha * beta; visits = visits / visits.sum(axis=1, keepdims=True); dlogits = "
    "y.copy(); then for s in range(len(label)): dlogits[:, label[s]] -= visits[:, s].",
)
def ctc_gradient(student: Callable) -> str:
    """``ctc_gradient(y, alpha, beta, label)``: dlogits (T, V) of -log p(target)."""
    rng = np.random.default_rng(1)

    def case(target, T, V=5):
        y, label = rng.dirichlet(np.ones(V), size=T), states_of(target)
        return y, *alpha_beta(y, label), label

    return judge_against(
        student,
        right_gradient,
        {
            "one step, one label: the one path is that label": case([2], 1),
            "two steps, two labels: one path only": case([2, 4], 2),
            "three steps, one label": case([2], 3),
            "six steps, three unlike labels": case([3, 1, 2], 6),
            "six steps, an equal pair: three states are blanks, two are the same label": (
                case([3, 3], 6)
            ),
            "seven steps, a label that comes back": case([1, 2, 1], 7),
        },
        {
            "the sign is turned: of -log p it is the softmax minus the visits": slope_of(sign=-1.0),
            "the softmax is missing: this is the gradient with respect to log y, not to the "
            "logits": slope_of(softmax=0.0),
            "this is the gradient with respect to y, not to the logits": by_y,
            "of the states with the same label only the last one counts. In d[:, label] -= visits "
            "NumPy keeps one of equal indices: loop over the states, or use np.subtract.at": (
                slope_of(add=False)
            ),
            "alpha beta is not divided by p(target)": visited(lambda ab, y: ab),
            "alpha beta is divided by the sum over all steps. Every path is in one state at *each* "
            "step": visited(lambda ab, y: ab / ab.sum()),
            "alpha beta is divided by the sum over the steps (axis 0), not over the states": (
                visited(lambda ab, y: ab / ab.sum(axis=0))
            ),
            "alpha beta is divided by y once more. Here beta begins after step t, so y is in it "
            "once": visited(lambda ab, y: ab / y / ab.sum(axis=1, keepdims=True)),
            "it is multiplied by y once more": (
                visited(lambda ab, y: ab * y / ab.sum(axis=1, keepdims=True))
            ),
            "p(target) is alpha of the last state only. A path may end in the last label too": (
                with_end(slice(-1, None))
            ),
            "p(target) is alpha of the last label only. A path may end in the blank behind it": (
                with_end(slice(-2, -1))
            ),
            "p(target) is the sum over all last alphas. A path ends in one of two states": (
                with_end(slice(None))
            ),
            "the visits are made of alpha alone; what comes later counts too": from_alpha,
            "the visits are made of beta alone; what came before counts too": from_beta,
            "only the likeliest state of each step is visited; all paths count": of_best_path,
            "it is divided by the number of steps. The loss is the sum over the steps": (
                lambda y, *more: right_gradient(y, *more) / len(y)
            ),
        },
        {"dlogits": ("step t", "label")},
    )
