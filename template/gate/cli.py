"""uv run gate ...: decide whether a change may be merged. Exit code 0: yes, 1: no, 2: it could not judge."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from app import files
from app.errors import AppError, Fault
from app.services import Plan
from gate import (
    baseline,
    candidate,
    cases,
    changelog,
    checks,
    cli_data,
    cli_measure,
    judge,
    report,
    run,
    slices,
    suites,
)
from gate import policy as audit
from gate import slo as promises
from gate.cases import KINDS, Kind
from gate.errors import BadCases, GateError
from gate.replay import Tape
from gate.screen import Names, chosen, err, finish, out, show, taped, tell

cli = typer.Typer(no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
cli_data.add_to(cli)
cli_measure.add_to(cli)
Tier = Annotated[str, typer.Option(help="judge this tier of models alone; it has its own baseline")]
Live = Annotated[bool, typer.Option("--live", help="ask hosted models, not their recordings")]
MaxUsd = Annotated[float, typer.Option(help="the most that --live may cost")]
Reason = Annotated[str, typer.Option(help="why this result is right; kept in git")]
PARTS = ("invariants", "score", "cost")


def main() -> None:
    """Entry point: what could not be judged ends with one message and exit code 2."""
    try:
        cli()
    except (AppError, GateError, OSError) as error:
        err.print(str(error), style="red", markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(2) from error
    except Exception as error:  # a defect of the gate is no verdict, and 1 would be one
        err.print_exception()
        raise SystemExit(2) from error


@cli.command()
def evals(features: Names = None, tier: Tier = "", live: Live = False, max_usd: MaxUsd = 1.0) -> None:
    """Run golden and adversarial cases through the pipeline and compare with the baseline."""
    plan = run.gate_plan()
    with taped(plan, "live" if live else "replay", max_usd) as tape:
        verdicts = evaluate(plan, features, KINDS, PARTS, tape, tier)
    finish(plan, verdicts)


@cli.command()
def safety(features: Names = None, live: Live = False, max_usd: MaxUsd = 1.0) -> None:
    """Attack every feature with the suites; then its own adversarial cases, every one of which must hold."""
    plan = run.gate_plan()
    with taped(plan, "live" if live else "replay", max_usd) as tape:
        before = attacked(plan, features, tape)
        verdicts = evaluate(plan, features, ["adversarial"], ("invariants",), tape, before=before)
    finish(plan, verdicts)


@cli.command()
def cost(features: Names = None) -> None:
    """Compare tokens and dollars of the golden cases, median and p95, with the baseline."""
    plan = run.gate_plan()
    finish(plan, evaluate(plan, features, ["golden"], ("cost",), Tape(plan)))


@cli.command()
def check() -> None:
    """Check every case file against its schema.py, without running anything."""
    plan = run.gate_plan()
    if faults := unsure(plan):
        raise BadCases(faults)
    out.print(f"ok: cases of {len(plan.features)} features", highlight=False)


@cli.command()
def policy() -> None:
    """Check that policy leaves every feature a model in each tier that it, its flags or economy can pick."""
    plan = run.gate_plan()
    out.print(audit.models_table(plan), audit.roles_table(plan))
    if step("policy", audit.violations(plan)):
        raise typer.Exit(1)


@cli.command()
def slo(out_folder: Annotated[Path | None, typer.Option("--out", help="var/slo without it")] = None) -> None:
    """Write Prometheus rules for what feature.toml promises, and let promtool check and test them."""
    if unsound(run.gate_plan(), out_folder):
        raise typer.Exit(1)


@cli.command()
def accept(features: Names = None, reason: Reason = "", tier: Tier = "") -> None:
    """Make the present result the baseline; commit the file, its diff is the record."""
    if not reason.strip():
        raise GateError("accept needs a reason: uv run gate accept FEATURE --reason '...'")
    plan = run.gate_plan()
    runs = run.everything(chosen(plan, features), KINDS, plan, tell, tier)
    broken = [verdict for verdict in map(judge.invariants, runs) if verdict.stops]
    show(broken)
    if broken:
        names = ", ".join(verdict.feature for verdict in broken)
        raise GateError(f"{names}: a baseline cannot hold broken invariants; mend them first")
    for done in runs:
        for group in done.sets:
            if changelog.last(done.feature, group.kind) != group.digest:
                changelog.add(done.feature, group.kind, group.digest, reason)
        place = baseline.save(done, reason)
        out.print(f"{place.as_posix()} written; commit it, and CHANGELOG.md", highlight=False)


@cli.command("candidate")
def candidate_(
    feature: str,
    prompt: Annotated[str, typer.Option(help="a version in prompts/")] = "",
    tier: Annotated[str, typer.Option(help="a tier of config/models.toml")] = "",
    reason: Annotated[str, typer.Option(help="where the gate cannot decide: why it may go on")] = "",
    live: Live = False,
    max_usd: MaxUsd = 1.0,
) -> None:
    """Judge a prompt or tier beside what serves, and write the file that `ops rollout start` asks for."""
    plan, release = run.gate_plan(), f"{prompt}/{tier}" if tier else prompt
    with taped(plan, "live" if live else "replay", max_usd) as tape:
        done, base, verdicts = candidate.judged(plan, feature, release, tape)
    show(verdicts)
    if not candidate.lets_through(verdicts, reason.strip()):
        raise typer.Exit(1)
    found = candidate.record(plan, plan.features[feature], release, done, base, reason.strip())
    beside = f"stable {found.stable_score:.3f} and {found.stable_tokens:g}"
    out.print(f"{release}: score {found.score:.3f}, {found.tokens:g} tokens; {beside}", highlight=False)
    place = candidate.path(plan, feature, release)
    out.print(f"{place.as_posix()} written; commit it", highlight=False)


@cli.command()
def schema(path: Path = cases.SCHEMA) -> None:
    """Write the JSON schema of case files, for editors."""
    files.write_atomic(path, cases.schema())


@cli.command("all")
def everything() -> None:
    """Run all that CI runs: lint, types, secrets, unit tests, policy, SLO rules, evals, safety, cost."""
    plan, failed = run.gate_plan(), list[judge.Verdict]()
    tape = Tape(plan)
    with err.status(", ".join(checks.STEPS)):
        failed += [found for name, faults in checks.together() for found in step(name, faults)]
    failed += step("cases", unsure(plan)) + step("policy", audit.violations(plan)) + unsound(plan)
    failed += attacked(plan, None, tape)
    finish(plan, evaluate(plan, None, KINDS, PARTS, tape, before=failed))


def unsure(plan: Plan) -> list[Fault]:
    """What is wrong with case files, and which changed without a line in their changelog."""
    faults = []
    for feature in plan.features.values():
        for kind in KINDS:
            try:
                faults += changelog.unexplained(feature, cases.load(feature, kind))
            except BadCases as error:
                faults += error.faults
    return faults


def step(name: str, faults: Sequence[object], said: str = "") -> list[judge.Verdict]:
    """Say whether a step found faults, and which; gives a verdict for the report if it did."""
    mark = "[red]BLOCK[/]" if faults else "[green]PASS[/]"
    out.print(f"{name:<9} {mark}{said}", highlight=False, soft_wrap=True)
    lines = tuple(line for fault in faults for line in str(fault).splitlines())
    for line in lines:
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    return [judge.Verdict(judge.PROJECT, name, "BLOCK", "found faults", lines)] if faults else []


def unsound(plan: Plan, folder: Path | None = None) -> list[judge.Verdict]:
    """Write the rules and say what promtool thinks of them; gives a verdict if it refuses."""
    folder = folder or plan.settings.var_dir / "slo"
    faults, note = promises.write(plan.features.values(), folder)
    return step("slo", faults, f"  {folder.as_posix()}  {note}")


def attacked(plan: Plan, names: list[str] | None, tape: Tape) -> list[judge.Verdict]:
    """The verdicts of the safety suites, below the table of what got through."""
    found = suites.attack(chosen(plan, names), plan, tape)
    if found:
        out.print(suites.table(found))
    return [suites.verdict(name, shares) for name, shares in found.items()]


def evaluate(
    plan: Plan,
    names: list[str] | None,
    kinds: list[Kind],
    parts: Sequence[str],
    tape: Tape,
    tier: str = "",
    before: Sequence[judge.Verdict] = (),
) -> list[judge.Verdict]:
    """Run, judge the parts that are asked for, and write the report, with the verdicts from `before`."""
    features = chosen(plan, names)
    if not features:
        out.print("no features: nothing to judge", highlight=False)
        return [*before]
    bases = {feature.name: baseline.load(feature, tier) for feature in features}
    runs = run.everything(features, kinds, plan, tell, tier, tape)
    compared = slices.compare(runs, bases) if "golden" in kinds else {}
    judges: dict[str, Callable[[run.FeatureRun, baseline.Baseline | None], judge.Verdict]] = {
        "invariants": judge.invariants,
        "score": lambda done, base: judge.score(done, base, compared[done.feature.name]),
        "cost": judge.cost,
    }
    judged = [judges[part](done, bases[done.feature.name]) for done in runs for part in parts]
    verdicts = [*before, *judged]
    report.write(plan.settings.var_dir, runs, verdicts, compared)
    return verdicts
