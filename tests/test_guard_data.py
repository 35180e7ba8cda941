"""The texts that the guard is measured on: no part holds what the other does."""

import pytest

from benchmarks.guard import collect
from benchmarks.guard.collect import Sample


def samples(part: str) -> list[Sample]:
    """The texts of one part."""
    return [Sample(**row) for row in collect.rows(collect.HERE / f"{part}.jsonl")]


@pytest.mark.parametrize("part", collect.PARTS)
def test_a_hash_chose_the_part_of_each_text(part: str) -> None:
    assert {collect.part_of(one.text) for one in samples(part)} == {part}


def test_no_text_resembles_another_of_either_part() -> None:
    everything = [one for part in collect.PARTS for one in samples(part)]
    assert len(collect.distinct(everything)) == len(everything) > 1_000


def test_every_source_is_named_with_its_licence() -> None:
    named = (collect.HERE / "SOURCES.md").read_text(encoding="utf-8")
    assert all(f"| {one.source} |" in named for part in collect.PARTS for one in samples(part))
