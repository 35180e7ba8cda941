"""A headless Chromium, what fails a page in it, and screenshots that are kept for people to look at."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import ROOT

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
QUIET += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give a headless Chromium of the machine; skip the test where there is none."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=found, args=QUIET)


def faults(page: Page, address: str) -> list[str]:
    """Return a list that gets each request to another place, and each error of a script or of its policy."""
    found = list[str]()
    page.on("request", lambda r: found.append(r.url) if not r.url.startswith(address) else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.on("console", lambda said: found.append(said.text) if "Security Policy" in said.text else None)
    return found


def shoot(page: Page, name: str) -> None:
    """Keep a screenshot below artifacts/."""
    place = ROOT / "artifacts" / f"{name}.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=place, full_page=True)


def assert_accessible(page: Page) -> None:
    """Fail on a serious fault that axe finds."""
    found = Axe().run(page).response["violations"]
    serious = [f"{v['id']}: {v['nodes'][0]['html']}" for v in found if v["impact"] in ("serious", "critical")]
    assert serious == []
