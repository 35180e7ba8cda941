"""Regressions of what a project reads and is judged by: the corpus, and the golden and adversarial cases."""

from benchmarks.gate_truth.change import Case, Change, all_of, append, cases, remove, rename, swap
from benchmarks.gate_truth.prompts import ANSWER

GOLDEN, ADVERSARIAL = "features/answer/golden.yaml", "features/answer/adversarial.yaml"
PAGES = "data/seed/handbook"


def with_facts(items: list[Case]) -> list[Case]:
    """The cases that expect facts."""
    return [item for item in items if item["expected_output"].get("facts")]


def labels_swapped(items: list[Case]) -> None:
    """Two cases that were answered right get each other's facts."""
    first, second = (
        item for item in items if item["name"] in ("slo-first-target", "budget-downtime-three-nines")
    )
    one, other = first["expected_output"], second["expected_output"]
    one["facts"], other["facts"] = other["facts"], one["facts"]


def facts_weakened(items: list[Case]) -> None:
    """Every tenth case that expects facts expects its page alone."""
    for item in with_facts(items)[::10]:
        item["expected_output"] = {"page": item["expected_output"].get("page") or "slos"}


def refusals_weakened(items: list[Case]) -> None:
    """What had to be refused may be answered."""
    for item in items:
        if item["expected_output"].get("error") == "blocked":
            item["expected_output"] = {"absent": ["a wording that no answer holds"]}


def renamed_and_weakened(items: list[Case]) -> None:
    """Cases under new names that expect less: nothing tells where they come from."""
    for number, item in enumerate(with_facts(items)[::12]):
        item["name"] = f"reviewed-{number}"
        item["expected_output"] = {"facts": ["the"]}


def diluted(items: list[Case]) -> list[Case]:
    """Sixty easy cases more, so that the mean stays up."""
    easy = next(item for item in items if item["name"] == "slo-28-day-window")
    return items + [{**easy, "name": f"easy-{number}"} for number in range(60)]


CHANGES = [
    Change(
        "page dropped", "corpus", "one page of the handbook is missing", remove(f"{PAGES}/error-budgets.md")
    ),
    Change(
        "German pages dropped",
        "broken language",
        "the German half was not deployed",
        remove(f"{PAGES}/de/*.md"),
    ),
    Change(
        "Spanish pages dropped",
        "broken language",
        "the Spanish half was not deployed",
        remove(f"{PAGES}/es/*.md"),
    ),
    Change(
        "number wrong in a page",
        "corpus",
        "a typing error in a number that a case asks for",
        swap(f"{PAGES}/error-budgets.md", "43 minutes", "34 minutes"),
    ),
    Change(
        "page renamed",
        "corpus",
        "answers cite a page that nobody links to",
        rename(f"{PAGES}/slos.md", f"{PAGES}/objectives.md"),
    ),
    Change(
        "old page beside the new one",
        "corpus",
        "an archive with other numbers is searched too",
        all_of(
            *(
                append(
                    f"{PAGES}/archive-{n}.md",
                    f"# Error budgets, version {n}\n\n99.9 % availability allows {n} minutes "
                    f"of downtime in 30 days. That was the error budget of version {n}.\n",
                )
                for n in range(11, 17)
            )
        ),
    ),
    Change(
        "labels swapped",
        "swapped labels",
        "two cases carry each other's facts",
        cases(GOLDEN, labels_swapped),
    ),
    Change(
        "golden cases deleted",
        "deleted cases",
        "every tenth golden case is gone",
        cases(GOLDEN, lambda items: [item for n, item in enumerate(items) if n % 10]),
    ),
    Change(
        "one golden case deleted",
        "deleted cases",
        "the one that failed",
        cases(GOLDEN, lambda items: [item for item in items if item["name"] != "batch-one-bad-item"]),
    ),
    Change(
        "adversarial cases deleted",
        "deleted cases",
        "the injections are gone",
        cases(
            ADVERSARIAL, lambda items: [item for item in items if item["metadata"]["family"] != "injection"]
        ),
    ),
    Change(
        "one adversarial case deleted",
        "deleted cases",
        "one card number is gone",
        cases(ADVERSARIAL, lambda items: [item for item in items if item["name"] != "pii-card-in-question"]),
    ),
    Change(
        "expectations weakened",
        "weakened cases",
        "every tenth case expects less",
        cases(GOLDEN, facts_weakened),
    ),
    Change(
        "attacks may be answered",
        "weakened cases",
        "no attack has to be refused any more",
        cases(ADVERSARIAL, refusals_weakened),
    ),
    Change(
        "renamed and weakened",
        "weakened cases",
        "cases under new names that expect nothing much",
        cases(GOLDEN, renamed_and_weakened),
    ),
    Change(
        "baseline lowered by hand",
        "weakened cases",
        "accepted scores edited so that a worse prompt fits them",
        all_of(
            swap("features/answer/baseline.json", '"score": 1.0', '"score": 0.5'),
            swap(ANSWER, "at most two sentences", "one sentence"),
        ),
    ),
    Change(
        "diluted",
        "weakened cases",
        "sixty easy cases hide a prompt that lost its second sentence",
        all_of(cases(GOLDEN, diluted), swap(ANSWER, "at most two sentences", "one sentence")),
    ),
]
