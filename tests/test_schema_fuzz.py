"""Requests that the app's own OpenAPI document allows, and many it does not: never a server error."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema

from tests import services
from tests.rendered import Project

Render = Callable[..., Project]
EXAMPLES = 150
PHASES = [Phase.explicit, Phase.generate]


@pytest.fixture(scope="module")
def api(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BaseSchema, str]]:
    """Serve a rendered project with keys required; return its schema and a valid key."""
    work = tmp_path_factory.mktemp("fuzzed")
    project = Project(Path(shutil.copytree(render().root, work / "project")), work)
    with environment(APP_PEPPER="p" * 32, APP_RATE_PER_MINUTE="1000000", APP_LOG_LEVEL="error"):
        project.check("app", "setup")
        project.check("app", "tenant", "add", "client-one", "--budget-usd", "1000")
        key = project.check("app", "tenant", "key", "client-one").split()[-1]
        port = services.free_port()
        with services.serving(project, port, "serve"):
            yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json"), key


@contextmanager
def environment(**given: str) -> Iterator[None]:
    """Set variables for a while."""
    before = dict(os.environ)
    os.environ.update(given)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def statuses(schema: BaseSchema, mode: GenerationMode, **headers: str) -> set[int]:
    """Ask with generated requests; return the statuses seen. A server error fails the test."""
    seen: set[int] = set()

    @given(case=schema.as_strategy(generation_mode=mode))
    @settings(max_examples=EXAMPLES, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
    def run(case: "Case[Any]") -> None:
        response = case.call(headers=headers, timeout=20)
        seen.add(response.status_code)
        case.validate_response(response, checks=[not_a_server_error])

    run()
    return seen


def test_valid_requests_with_a_key_meet_no_server_error(api: tuple[BaseSchema, str]) -> None:
    schema, key = api
    seen = statuses(schema, GenerationMode.POSITIVE, Authorization=f"Bearer {key}")
    assert 200 in seen
    assert max(seen) < 500


def test_broken_requests_with_a_key_are_refused(api: tuple[BaseSchema, str]) -> None:
    schema, key = api
    seen = statuses(schema, GenerationMode.NEGATIVE, Authorization=f"Bearer {key}")
    assert 422 in seen
    assert max(seen) < 500


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_no_request_without_a_key_is_answered(api: tuple[BaseSchema, str], mode: GenerationMode) -> None:
    schema, _ = api
    seen = statuses(schema, mode)
    assert 200 not in seen
    assert max(seen) < 500
