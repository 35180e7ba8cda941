"""Worker slots: one holder each, free again when it ends, and work that one worker does alone."""

from app import slots


async def test_two_workers_hold_different_names(site, tmp_path):
    async with (
        slots.take(site.held.engine, tmp_path) as first,
        slots.take(site.held.engine, tmp_path) as second,
    ):
        assert (first.name, second.name) == ("worker-0", "worker-1")


async def test_one_worker_at_a_time_does_what_is_done_alone(site, tmp_path):
    engine = site.held.engine
    for _ in range(2):
        async with slots.alone(engine, tmp_path) as mine, slots.alone(engine, tmp_path) as other:
            assert (mine, other) == (True, False)
