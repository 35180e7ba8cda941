import pytest

from ops.recover import aim
from ops.state import State

BAD, GOOD = State(stable="bad", past=["good", "old"]), State(stable="good", past=["old", "bad"])
ON_ITS_WAY = State(stable="bad", past=["good", "old"], coming="good", phase="promoting", back=True)


@pytest.mark.parametrize(
    ("before", "now", "version"),
    [
        pytest.param([BAD], [BAD], "good", id="the one before"),
        pytest.param([ON_ITS_WAY], [GOOD], "good", id="where a killed rollback went"),
        pytest.param([GOOD, BAD], [GOOD, BAD], "good", id="where the first host went"),
        pytest.param([State(stable="one")], [State(stable="one")], "", id="nowhere"),
    ],
)
def test_a_rollback_leads_one_version_back_and_a_second_run_no_further(before, now, version):
    assert aim(before, now) == version
