"""Judge a run: invariants, score, cost. What is worse than feature.toml's [gate] allows is blocked."""

import statistics
from dataclasses import dataclass
from typing import Literal

from app.scorers import SAFETY
from gate import stats
from gate.baseline import Baseline
from gate.run import CaseRun, FeatureRun

Word = Literal["PASS", "BLOCK", "INCONCLUSIVE", "NO BASELINE"]


@dataclass(frozen=True)
class Verdict:
    """One judgement on one feature; `lines` say the numbers and the cases behind it."""

    feature: str
    part: Literal["invariants", "score", "cost", "retrieval"]
    word: Word
    said: str
    lines: tuple[str, ...] = ()

    @property
    def stops(self) -> bool:
        """Whether this keeps a change from being merged. Inconclusive asks for a person's word."""
        return self.word in ("BLOCK", "INCONCLUSIVE")


def invariants(run: FeatureRun, base: Baseline | None = None) -> Verdict:
    """Every golden case is served, every adversarial case holds, none of the baseline's went away."""
    broken = [r for r in run.runs if breaks(r)]
    lines = tuple(
        f"{r.kind} '{r.spec.name}': {', '.join(breaks(r))} ({r.outcome.code}{detail(r)})" for r in broken
    )
    lines += biased(run)
    if lines:
        said = f"{len(lines)} broken in {len(run.runs)} cases"
        return Verdict(run.feature.name, "invariants", "BLOCK", said, lines)
    gone = set(base.adversarial if base else []) - {r.spec.name for r in run.of("adversarial")}
    if gone:
        said = f"{len(gone)} adversarial cases of the baseline are gone"
        return Verdict(run.feature.name, "invariants", "INCONCLUSIVE", said, tuple(sorted(gone)))
    return Verdict(run.feature.name, "invariants", "PASS", f"{len(run.runs)} cases hold")


def biased(run: FeatureRun) -> tuple[str, ...]:
    """Counterfactual pairs whose cases differ in one trait of a person and do not score the same."""
    pairs: dict[str, list[CaseRun]] = {}
    for r in run.runs:
        if r.spec.metadata.pair:
            pairs.setdefault(r.spec.metadata.pair, []).append(r)
    return tuple(
        f"pair '{name}': " + ", ".join(f"'{r.spec.name}' {r.score:.2f}" for r in found)
        for name, found in sorted(pairs.items())
        if len({r.score for r in found}) > 1
    )


def breaks(run: CaseRun) -> list[str]:
    """The invariants that a case breaks: for golden ones to be served, for adversarial ones all safety."""
    watched = SAFETY if run.kind == "adversarial" else ("served", "error")
    return [name for name in run.failed if name in watched]


def detail(run: CaseRun) -> str:
    """What the error said, where there was one."""
    return f": {run.outcome.detail}" if run.outcome.detail else ""


def score(run: FeatureRun, base: Baseline | None) -> Verdict:
    """Golden score against the floor, then against the baseline on the same cases."""
    golden, allowed, name = run.of("golden"), run.feature.spec.gate, run.feature.name
    mean = statistics.fmean(r.score for r in golden)
    if base is None:
        return Verdict(name, "score", "NO BASELINE", f"{mean:.3f}; accept it with: uv run gate accept {name}")
    if mean < allowed.min_score:
        said = f"{mean:.3f} is under the floor of {allowed.min_score:.3f}"
        return Verdict(name, "score", "BLOCK", said, losses(golden))
    pairs = [(base.cases[r.spec.name].score, r) for r in golden if r.spec.name in base.cases]
    if not pairs:
        said = f"{mean:.3f}; no case is in the baseline: uv run gate accept {name}"
        return Verdict(name, "score", "INCONCLUSIVE", said)
    moves = [r.score - old for old, r in pairs]
    change, (low, high) = statistics.fmean(moves), stats.interval(moves)
    seen = stats.smallest_drop(moves)
    moved = f"{change:+.3f} [{low:+.3f}, {high:+.3f}]"
    said = f"{mean:.3f}, {moved} on {len(pairs)} cases; sees drops from {seen:.3f}"
    word: Word = "PASS"
    gone = set(base.cases) - {r.spec.name for r in golden}
    said += f"; {len(golden) - len(pairs)} new" if len(golden) > len(pairs) else ""
    said += f"; {len(gone)} gone" if gone else ""
    if change < -allowed.max_drop - 1e-9:
        word = "BLOCK" if high < -allowed.max_drop else "INCONCLUSIVE"
    elif gone:
        word = "INCONCLUSIVE"
    fell = tuple(
        f"'{r.spec.name}': {old:.2f} -> {r.score:.2f} ({', '.join(r.failed)})"
        for old, r in pairs
        if r.score < old - 1e-9
    )
    return Verdict(name, "score", word, said, fell + differences(run, base))


def losses(golden: list[CaseRun]) -> tuple[str, ...]:
    """The cases that lost points, the worst first."""
    worst = sorted((r for r in golden if r.failed), key=lambda r: r.score)
    return tuple(f"'{r.spec.name}': {r.score:.2f} ({', '.join(r.failed)})" for r in worst)


def differences(run: FeatureRun, base: Baseline) -> tuple[str, ...]:
    """What changed since the baseline beside the answers; a comparison across these is said, not hidden."""
    golden = next(group for group in run.sets if group.kind == "golden")
    now = {"model": run.model, "prompt": run.prompt, "dataset": golden.digest}
    then = base.model_dump(include=set(now))
    gone = sorted(set(base.cases) - {r.spec.name for r in run.of("golden")})
    said = tuple(f"{key}: {then[key]} -> {now[key]}" for key in now if then[key] != now[key])
    return said + ((f"cases gone since the baseline: {', '.join(gone)}",) if gone else ())


def cost(run: FeatureRun, base: Baseline | None) -> Verdict:
    """Median tokens of golden cases against the baseline on the same cases."""
    golden, name = run.of("golden"), run.feature.name
    served = [r for r in golden if r.outcome.tokens]
    median = statistics.median(r.outcome.tokens for r in served) if served else 0
    if base is None:
        return Verdict(name, "cost", "NO BASELINE", f"median {median:.0f} tokens")
    pairs = [
        (float(base.cases[r.spec.name].tokens), float(r.outcome.tokens))
        for r in served
        if r.spec.name in base.cases and base.cases[r.spec.name].tokens
    ]
    if not pairs:
        return Verdict(name, "cost", "INCONCLUSIVE", f"median {median:.0f} tokens; no case to compare with")
    value, low, high = stats.median_ratio(pairs)
    limit = 1 + run.feature.spec.gate.max_token_rise
    said = f"median {median:.0f} tokens, x{value:.3f} [{low:.3f}, {high:.3f}], x{limit:.2f} allowed"
    word: Word = "PASS"
    if value > limit:
        word = "BLOCK" if low > limit else "INCONCLUSIVE"
    grown = sorted(
        (r.outcome.tokens - base.cases[r.spec.name].tokens, r.spec.name)
        for r in served
        if r.spec.name in base.cases
    )
    lines = tuple(f"'{case}': {more:+d} tokens" for more, case in reversed(grown[-3:]) if more > 0)
    return Verdict(name, "cost", word, said, lines if word != "PASS" else ())
