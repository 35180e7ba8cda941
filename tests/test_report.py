"""The gate's report in a real browser, after a regression; screenshots are kept for people to look at."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests import frontends
from tests.browser import assert_accessible, faults, shoot
from tests.rendered import Project
from tests.test_pipeline import change


@pytest.fixture(scope="module")
def reports(render: Callable[..., Project], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the reports of a project whose prompt was made worse, after one good run."""
    source = render()
    root = tmp_path_factory.mktemp("report") / "project"
    shutil.copytree(source.root, root)
    frontends.start_history(root)
    made = Project(root, source.cache)
    made.check("app", "setup")
    made.check("gate", "safety")
    made.check("gate", "evals")
    change(root / "features/answer/prompts/v2.md", lambda text: text.replace("two sentences", "one sentence"))
    assert made.run("gate", "evals").returncode == 1
    made.check("gate", "handover")
    return root / "var/reports"


@pytest.fixture
def opened(browser: Browser, reports: Path) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page from disk; anything that it asks for elsewhere fails the test."""
    wrong = list[list[str]]()

    def page(name: str, **how: Any) -> Page:
        shown, address = browser.new_page(locale="en-GB", **how), (reports / name).as_uri()
        wrong.append(faults(shown, address))
        shown.goto(address)
        return shown

    yield page
    assert [fault for found in wrong for fault in found] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_says_no_and_shows_what_became_worse(opened: Callable[..., Page], scheme: str) -> None:
    page = opened("report.html", color_scheme=scheme, viewport={"width": 1100, "height": 900})
    expect(page.get_by_role("heading", level=1)).to_have_text("Not ready to merge")
    case = page.locator("details.case").first
    expect(case.locator("del").first).to_be_visible()
    shoot(page, f"report/{scheme}")
    assert_accessible(page)


@pytest.mark.parametrize("name", ["report", "handover"])
def test_a_phone_shows_it_without_scrolling_sideways(opened: Callable[..., Page], name: str) -> None:
    page = opened(f"{name}.html", viewport={"width": 360, "height": 780})
    shoot(page, f"report/{name}-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert_accessible(page)


@pytest.mark.parametrize("name", ["report", "handover"])
def test_on_paper_it_is_black_on_white(opened: Callable[..., Page], name: str) -> None:
    page = opened(f"{name}.html", color_scheme="dark", viewport={"width": 794, "height": 1123})
    page.emulate_media(media="print")
    shoot(page, f"report/{name}-print")
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert back in ("rgb(255, 255, 255)", "rgba(0, 0, 0, 0)")
    assert page.pdf(format="A4").startswith(b"%PDF")
