"""Wrong answers to the exercises of chapter 17."""

import numpy as np

TEXTS = {
    "collapse": """
def collapse(path, blank):
    labels = []
    for t in range(len(path)):
        if path[t] != blank and (t == 0 or path[t] != path[t - 1]):
            labels.append(path[t])
    return labels
""",
    "alpha_step": """
def alpha_step(before, y, label):
    now = np.zeros(len(label))
    for s in range(len(label)):
        total = before[s]
        if s > 0:
            total += before[s - 1]
        if s > 1 and label[s] != label[s - 2]:
            total += before[s - 2]
        now[s] = y[label[s]] * total
    return now
""",
    "ctc_gradient": """
def ctc_gradient(y, alpha, beta, label):
    p = alpha[-1, -2:].sum()
    visits = alpha * beta / p
    d = y.copy()
    for s in range(len(label)):
        d[:, label[s]] -= visits[:, s]
    return d
""",
}


def changed(name, wrong="", right=""):
    """The right answer with one piece replaced, as a function."""
    text = TEXTS[name]
    assert right in text
    scope = {"np": np}
    exec(text.replace(right, wrong), scope)
    return scope[name]


def collapse(*piece):
    return changed("collapse", *piece)


def alpha_step(*piece):
    return changed("alpha_step", *piece)


def gradient(*piece):
    return changed("ctc_gradient", *piece)


def blanks_first(path, blank):
    path = [k for k in path if k != blank]
    return [k for t, k in enumerate(path) if t == 0 or k != path[t - 1]]


def last_kept(path, blank):
    labels = [blank]
    for k in path:
        if k not in (blank, labels[-1]):
            labels.append(k)
    return np.array(labels[1:])


def sorted_labels(path, blank):
    found = np.unique(path)
    return found[found != blank]


def shifted(path, blank):
    return path[1:][(path[1:] != path[:-1]) & (path[1:] != blank)]


def before_a_change(path, blank):
    return path[:-1][(path[1:] != path[:-1]) & (path[:-1] != blank)]


def in_place(before, y, label):
    now = before.copy()
    for s in range(len(label)):
        now[s] += now[s - 1] if s > 0 else 0
        now[s] += now[s - 2] if s > 1 and label[s] != label[s - 2] else 0
        now[s] *= y[label[s]]
    return now


def rolled(before, y, label):
    skip = label != np.roll(label, 2)
    return y[label] * (before + np.roll(before, 1) + skip * np.roll(before, 2))


def rolled_everywhere(before, y, label):
    return y[label] * (before + np.roll(before, 1) + np.roll(before, 2))


def turned(before, y, label):
    now = before.copy()
    now[:-1] += before[1:]
    now[:-2] += (label[:-2] != label[2:]) * before[2:]
    return y[label] * now


def fancy(y, alpha, beta, label):
    d = y.copy()
    d[:, label] -= alpha * beta / alpha[-1, -2:].sum()
    return d


def by_state(y, alpha, beta, label):
    return y[:, label] - alpha * beta / alpha[-1, -2:].sum()


EQUAL = "label[s] != label[s - 2]"
UNLIKE = f"if s > 1 and {EQUAL}"
VISITS = "alpha * beta / p"

WRONG = {
    "collapse": [
        (blanks_first, "comes again after a blank is lost"),
        (collapse("", " and (t == 0 or path[t] != path[t - 1])"), "neighbours are not merged"),
        (collapse("", "path[t] != blank and "), "the blanks are still there"),
        (collapse("path[t] not in labels", "(t == 0 or path[t] != path[t - 1])"), "once only"),
        (collapse("path[t] != path[t - 1]", "(t == 0 or path[t] != path[t - 1])"), "path[-1]"),
        (collapse("path[t - 1] == blank", "path[t] != path[t - 1]"), "unlike label may stand"),
        (collapse("!= 0 and", "!= blank and"), "taken to be 0"),
        (sorted_labels, "are sorted"),
        (shifted, "the first step is lost"),
        (before_a_change, "the last label is lost"),
        (collapse("return str(labels)", "return labels"), "expected numbers, got str"),
        (collapse("return len(labels)", "return labels"), "expected the shape (3,), got ()"),
    ],
    "alpha_step": [
        (alpha_step("if False", UNLIKE), "there is no skip"),
        (alpha_step("if s > 1", UNLIKE), "the skip is allowed everywhere"),
        (alpha_step("label[s] != 0", EQUAL), "between equal labels too"),
        (alpha_step("==", "!="), "the other way round"),
        (alpha_step("if True:", "if s > 0:"), "from the last one"),
        (rolled, "an index of -1"),
        (rolled_everywhere, "two things"),
        (lambda before, y, label: y[label] * before, "only paths that stay"),
        (in_place, "already that of this step"),
        (turned, "arrows are turned round"),
        (alpha_step("total = 0", "total = before[s]"), "stays in its state is left out"),
        (alpha_step("if False:", "if s > 0:"), "from state s - 1 is left out"),
        (alpha_step("= total", "= y[label[s]] * total"), "factor y of this step is missing"),
        (alpha_step("y[0] *", "y[label[s]] *"), "y of the blank is taken"),
        (alpha_step("now / now.sum()", "now\n"), "divided by its sum"),
        (alpha_step("np.log(now)", "now\n"), "it is a logarithm"),
    ],
    "ctc_gradient": [
        (gradient("return -d", "return d"), "the sign is turned"),
        (gradient("np.zeros_like(y)", "y.copy()"), "the softmax is missing"),
        (gradient("return (d - y) / y", "return d"), "with respect to y, not to the logits"),
        (fancy, "keeps one of equal indices"),
        (by_state, "expected the shape"),
        (gradient("alpha * beta", VISITS), "not divided by p(target)"),
        (gradient("alpha * beta / (alpha * beta).sum()", VISITS), "over all steps"),
        (gradient("alpha * beta / (alpha * beta).sum(axis=0)", VISITS), "axis 0"),
        (gradient("alpha * beta / y[:, label] / p", VISITS), "divided by y once more"),
        (gradient("alpha * beta * y[:, label] / p", VISITS), "multiplied by y once more"),
        (gradient("alpha[-1, -1]", "alpha[-1, -2:].sum()"), "alpha of the last state only"),
        (gradient("alpha[-1, -2]", "alpha[-1, -2:].sum()"), "alpha of the last label only"),
        (gradient("alpha[-1].sum()", "alpha[-1, -2:].sum()"), "sum over all last alphas"),
        (gradient("alpha / alpha.sum(axis=1, keepdims=True)", VISITS), "made of alpha alone"),
        (gradient("return d / len(y)", "return d"), "divided by the number of steps"),
        (gradient("beta / beta.sum(axis=1, keepdims=True)", VISITS), "made of beta alone"),
    ],
}
