"""What a person may begin and do, and what is refused with the remedy."""

import json
from pathlib import Path

import pytest

from app import flagedit, flags, flagstore, releases, trials
from app.errors import Invalid, NotAllowed
from tests import kit
from tests.test_controller import begin, passed, prompts  # noqa: F401  # a fixture of every test here


async def test_two_rollouts_of_a_feature_are_one_too_many(project):
    async with kit.site() as site:
        trial = await begin(site)
        with pytest.raises(Invalid, match=f"has a trial already: {trial.id}"):
            await begin(site)
        await releases.by_hand(site.held.engine, site.held.plan, "note", "stopped", "enough", "anna")
        assert (await begin(site)).id != trial.id


@pytest.mark.parametrize(
    ("release", "said"),
    [
        ("v9", "has no prompt 'v9'"),
        ("/premium", "no model has tier 'premium'"),
        ("v1", "with already"),
        ("", "name what is new"),
    ],
)
async def test_what_is_not_there_cannot_begin(project, release, said):
    async with kit.site() as site:
        with pytest.raises(Invalid, match=said):
            await releases.begin(site.held.engine, site.held.plan, "note", release, "anna")


@pytest.mark.parametrize("how", ["missing", "edited", "prompt", "schema", "cases"])
async def test_a_candidate_that_the_gate_has_not_passed_as_it_is_cannot_begin(project, how):
    async with kit.site() as site:
        place = passed(site)
        if how == "missing":
            place.unlink()
        elif how == "edited":
            kit.edit(place, '"score":1.0', '"score":0.9')
        elif how == "prompt":
            kit.edit("features/note/prompts/v2.md", "---", "---\n")
        elif how == "cases":
            kit.edit("features/note/adversarial.yaml", "override", "another")
        else:
            kit.edit("features/note/feature.toml", "min_minutes = 0", "min_minutes = 3")
    async with kit.site() as site:
        with pytest.raises(Invalid, match="uv run gate candidate note --prompt v2"):
            await releases.begin(site.held.engine, site.held.plan, "note", "v2", "anna")


async def test_a_tier_whose_provider_policy_forbids_cannot_begin(project):
    kit.models(small="", far="http://127.0.0.1:9")
    kit.edit("config/models.toml", 'region = "local"', 'region = "us"\ntier = "far"')
    async with kit.site() as site:
        with pytest.raises(NotAllowed, match="policy allows no model"):
            await releases.begin(site.held.engine, site.held.plan, "note", "v2/far", "anna")


async def test_a_person_may_take_a_step_and_it_is_kept_why(project):
    async with kit.site() as site:
        trial = await begin(site)
        held = site.held
        await releases.by_hand(held.engine, held.plan, "note", "next", "three clients a day", "anna")
        [_, event] = await trials.events(held.engine, trial.id)
        assert (event.what, event.said, event.actor) == ("canary 50 %", "three clients a day", "anna")


async def test_what_serves_by_a_flag_is_no_news_and_the_prompt_of_the_file_is(project):
    async with kit.site() as site:
        held = site.held
        await begin(site)
        for _ in range(2):
            await releases.by_hand(held.engine, held.plan, "note", "next", "sure", "anna")
        with pytest.raises(Invalid, match="with already"):
            await begin(site)
        assert (await begin(site, "v1")).state == "canary"


async def test_a_tenant_keeps_the_value_of_its_own_when_it_is_done(project):
    async with kit.site() as site:
        held = site.held
        flag = flagedit.valued(flagedit.valued(None, "v1"), "v1", "acme")
        edit = lambda document: flagedit.put(document, "note.prompt", flag)  # noqa: E731
        await flagstore.change(
            held.engine, held.plan.settings.flags_file, "anna", "", edit, held.plan.check_flags
        )
        trial = await begin(site)
        for _ in range(2):
            await releases.by_hand(held.engine, held.plan, "note", "next", "sure", "anna")
        core = flags.core(json.loads(held.plan.settings.flags_file.read_text()), Path())
        found = [
            flags.choose(core, held.plan.features["note"], flags.Who(one)).prompt for one in ("acme", "b")
        ]
    assert (found, trial.id[:5]) == (["v1", "v2"], "note-")
