"""Experiments: equal shares, a record of who saw what, and no winner before it is certain."""

import pytest

from app import db, experiments, incidents, trials
from app.errors import Invalid
from tests import kit
from tests.test_controller import passed, plant, prompt, second_prompt


@pytest.fixture(autouse=True)
def prompts(project):
    """The feature `note` with a second prompt; each request is drawn."""
    second_prompt('\n[rollout]\nunit = "request"\n')


async def begin(site, *variants):
    """Begin an experiment."""
    passed(site)
    return await experiments.begin(site.held.engine, site.held.plan, "note", list(variants or ["v2"]), "anna")


async def arms(site, trial, count, part=""):
    """Plant the rows of an experiment's first variant and of stable."""
    names = trials.CANDIDATE
    try:
        trials.CANDIDATE = "-1"
        await plant(site, trial, count, part)
    finally:
        trials.CANDIDATE = names


async def test_every_request_says_which_variant_it_saw(project):
    async with kit.site() as site:
        trial = await begin(site)
        said = {await prompt(site) for _ in range(12)}
        rows = await site.rows()
    assert said == {"v1", "v2"}
    assert {(row.prompt, row.arm) for row in rows} == {("v1", f"{trial.id}-stable"), ("v2", f"{trial.id}-1")}


async def test_equal_variants_stay_open_and_worse_ones_are_worse(project):
    async with kit.site() as site:
        trial = await begin(site)
        await arms(site, trial, 3_000)
        [new, stable] = await experiments.variants(site.held.engine, trial)
        assert (new.word, stable.release, experiments.winner([new, stable])) == ("open", "stable", None)
        await arms(site, trial, 3_001, "wrong")
        [new, _] = await experiments.variants(site.held.engine, trial)
    assert new.word == "worse"


async def test_a_better_variant_is_the_winner(project):
    async with kit.site() as site:
        trial = await begin(site)
        swapped = trials.STABLE, "-1"
        trials.STABLE, trials.CANDIDATE = swapped[1], swapped[0]
        try:
            await plant(site, trial, 12_000, "costly")  # the stable one is the dear one here
        finally:
            trials.STABLE, trials.CANDIDATE = "-stable", "-candidate"
        found = await experiments.variants(site.held.engine, trial)
    best = experiments.winner(found)
    assert best is not None
    assert best.release == "v2"


async def test_below_the_smallest_sample_nothing_is_said(project):
    async with kit.site() as site:
        trial = await begin(site)
        await arms(site, trial, 40)
        [new, _] = await experiments.variants(site.held.engine, trial)
    assert (new.findings, new.word) == ((), "open")
    assert experiments.least(new).endswith("units of 30 that an interval needs")


@pytest.mark.parametrize(
    ("part", "count", "said"),
    [("unsafe", 500, "v2: safety: "), ("costly", 3_000, "v2: worse than stable: USD a request: ")],
)
async def test_a_variant_that_does_harm_ends_it_with_an_incident(project, part, count, said):
    async with kit.site() as site:
        trial = await begin(site)
        await arms(site, trial, count, part)
        await experiments.look(site.held, trial)
        assert await prompt(site) == "v1"
        await incidents.of_rollbacks(site.held.engine, db.now())
        [one] = await incidents.every(site.held.engine)
        trial = await trials.find(site.held.engine, trial.id)
    assert (trial.state, one.said[: len(said)], len(one.cases)) == ("rolled-back", said, incidents.CASES)


async def test_variants_that_do_no_harm_stay(project):
    async with kit.site() as site:
        trial = await begin(site)
        await arms(site, trial, 3_000)
        await experiments.look(site.held, trial)
        assert trials.is_open(await trials.find(site.held.engine, trial.id))


async def test_stop_gives_all_to_stable(project):
    async with kit.site() as site:
        trial = await begin(site)
        await experiments.stop(site.held.engine, site.held.plan, "note", "done", "anna")
        assert {await prompt(site) for _ in range(4)} == {"v1"}
        with pytest.raises(Invalid, match="is no open experiment"):
            await experiments.stop(site.held.engine, site.held.plan, trial.id, "again", "anna")


@pytest.mark.parametrize(("variants", "said"), [(["v2", "v2"], "different"), (["v9"], "no prompt 'v9'")])
async def test_wrong_variants_are_refused(project, variants, said):
    async with kit.site() as site:
        with pytest.raises(Invalid, match=said):
            await begin(site, *variants)
