"""The report as a page, a comment and a JUnit file: what it shows, and what it does with hostile text."""

import dataclasses
import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gate import baseline, judge, report
from gate.judge import Verdict
from gate.run import CaseRun, FeatureRun
from tests import runs

BLOCK = Verdict("note", "score", "BLOCK", "worse", ("'bad': 1.00 -> 0.00 (facts)",))
PASS = Verdict("note", "score", "PASS", "fine")
VOID = {"meta", "line", "polyline", "circle"}


@dataclass(frozen=True)
class Part:
    """A slice as the judge gives it."""

    name: str
    cases: int
    score: float
    change: float
    low: float
    high: float
    sees: float
    word: str


def answered(name: str, said: str, right: float, **more: object) -> CaseRun:
    """A golden case with this answer."""
    return runs.case(name, {"served": 1.0, "facts": right}, output={"result": said}, **more)


def page(done: FeatureRun, *verdicts: Verdict, name: str = "report.html", **more: object) -> str:
    """One page of the report on a run."""
    folder = report.write(Path("var"), [done], list(verdicts or [PASS]), **more)
    return (folder / name).read_text(encoding="utf-8")


def accept(*cases: CaseRun) -> None:
    """Make these cases the baseline of `note`."""
    baseline.save(runs.feature_run(list(cases)), "they are right")


@pytest.mark.parametrize(
    ("verdicts", "headline"),
    [
        ([PASS], "Ready to merge"),
        ([PASS, BLOCK], "Not ready to merge"),
        ([PASS, Verdict("note", "cost", "INCONCLUSIVE", "maybe")], "A person must decide"),
        ([Verdict("note", "score", "NO BASELINE", "new")], "Ready to merge"),
    ],
)
def test_the_headline_is_the_verdict_in_words_for_everybody(project, verdicts, headline):
    assert f"<h1>{headline}</h1>" in page(runs.golden([1.0]), *verdicts)


def test_hashes_are_shown_with_the_accepted_ones_where_they_differ(project):
    before = dataclasses.replace(runs.feature_run([answered("one", "said", 1)]), prompt="v1@old")
    baseline.save(before, "test")
    shown = page(runs.feature_run([answered("one", "said", 1)]))
    assert (
        '<code>v1@abc</code> <span class="word warn">other than accepted:</span> <code>v1@old</code>' in shown
    )
    assert shown.count("other than accepted") == 1
    assert f"<code>{'0' * 12}</code>" in shown


def test_a_slice_shows_its_change_its_interval_and_its_word(project):
    parts = [
        Part("family f", 80, 0.7, -0.1, -0.2, -0.05, 0.09, "BLOCK"),
        Part("de", 4, 1, 0, 0, 0, 0.5, "SMALL"),
    ]
    shown = page(runs.golden([1.0]), BLOCK, slices={"note": parts})
    assert "✕ block" in shown
    assert "-0.200 to -0.050" in shown
    assert "too small</span>" in shown
    summary = Path("var/reports/summary.md").read_text(encoding="utf-8")
    assert "| family f | 80 | 0.700 | -0.100 | -0.200 to -0.050 | 0.090 | BLOCK |" in summary
    assert "| 0.500 | too small |" in summary


def test_cost_is_shown_beside_the_accepted_one_on_the_same_cases(project):
    accept(*(answered(f"c{n}", "said", 1, tokens=100, cost_usd=0.001) for n in range(4)))
    now = [answered(f"c{n}", "said", 1, tokens=110, cost_usd=0.002) for n in range(4)]
    shown = page(runs.feature_run([*now, answered("new", "said", 1, tokens=9_000)]))
    assert "On 4 cases" in shown
    assert "+10.0 %" in shown
    assert "+100.0 %" in shown
    assert "9000" not in shown.partition("Cases to look at")[0].partition("Cost and speed")[2]


def test_a_case_that_fell_shows_what_was_asked_expected_and_the_change_of_the_answer(project):
    accept(answered("bad", "the sky above is blue", 1))
    shown = page(runs.feature_run([answered("bad", "the sky above is green", 0)]), BLOCK)
    assert "Cases to look at: 1" in shown
    assert "text: text of bad" in shown
    assert "facts: x" in shown
    assert "the sky above is <del>blue</del> <ins>green</ins>" in shown


def test_a_miss_that_was_accepted_is_not_to_look_at(project):
    accept(answered("known", "same words", 0.5))
    shown = page(runs.feature_run([answered("known", "same words", 0.5)]))
    assert "Cases to look at: none" in shown
    assert "1 of 1 cases are not fully right, as it was accepted" in shown


def test_an_attack_that_gets_through_is_to_look_at_without_a_baseline(project):
    shown = page(runs.feature_run([runs.case("attack", {"error": 0.0}, "adversarial", code="ok")]), BLOCK)
    assert "Cases to look at: 1" in shown


def test_what_other_commands_measured_is_shown_where_it_is(project):
    assert not {"Safety", "Load", "Retrieval"} & headings(page(runs.golden([1.0])))
    attack = {"name": "jailbreak", "attacks": 40, "succeeded": 2, "rate": 0.05, "low": 0.014, "high": 0.165}
    for name, content in {"safety": [attack], "load": {"p95_ms": 812.4}, "retrieval": {"dims": 128}}.items():
        Path(f"var/reports/{name}.json").write_text(json.dumps(content))
    shown = page(runs.golden([1.0]))
    assert {"Safety", "Load", "Retrieval"} <= headings(shown)
    assert "1.4 to 16.5 %" in shown
    assert "812.4" in shown
    Path("var/reports/safety.json").write_text('[{"name": ')
    assert "safety.json is damaged and left out" in page(runs.golden([1.0]))


def headings(shown: str) -> set[str]:
    """The headings of the second level."""
    return {part.partition("</h2>")[0] for part in shown.split("<h2>")[1:]}


class Tags(HTMLParser):
    """Notes every tag and attribute, and fails at one that is closed out of order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """It has nothing to close."""
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """It must be the last that was opened."""
        assert self.open.pop() == tag


def test_the_page_is_one_file_that_needs_nothing_else(project):
    accept(answered("bad", "the sky above is blue", 1))
    page(runs.feature_run([answered("bad", "the sky above is blue", 1)]))
    tags = Tags()
    tags.feed(page(runs.feature_run([answered("bad", "the sky above is green", 0)]), BLOCK))
    assert tags.open == []
    assert not {tag for tag, _ in tags.seen} & {"script", "link", "img", "iframe", "object"}
    assert [given["href"] for _, given in tags.seen if "href" in given] == ["#verdicts"]
    assert not [
        given for _, given in tags.seen if "src" in given or any(key.startswith("on") for key in given)
    ]
    assert all("tabindex" in given for _, given in tags.seen if given.get("class") == "scroll")


def test_the_json_has_a_version_and_these_keys(project):
    content = json.loads(page(runs.golden([1.0]), name="report.json"))
    assert content["schema"] == 1
    assert list(content) == ["schema", "at", "commit", "passed", "verdicts", "features"]
    assert list(content["features"][0]) == [
        "name", "model", "prompt", "accepted", "datasets", "seconds", "slices", "cases",
    ]  # fmt: skip
    assert {"name", "kind", "score", "failed", "worse", "accepted", "said", "tokens", "cost_usd"} <= set(
        content["features"][0]["cases"][0]
    )


def test_the_comment_says_the_verdict_first_and_can_be_found_again(project):
    accept(*(answered(f"c{n}", "the sky above is blue", 1) for n in range(7)))
    bad = [answered(f"c{n}", "the sky above is green", n / 10) for n in range(7)]
    lines = page(runs.feature_run(bad), BLOCK, name="comment.md").splitlines()
    assert lines[:2] == ["<!-- slipway-gate -->", "## Gate: Not ready to merge"]
    assert "- note: the answers got worse" in lines
    assert "**7 cases to look at, the first 5:**" in lines
    found = [line for line in lines if "score 1.00 →" in line]
    assert [line.split()[2] for line in found] == ["c0,", "c1,", "c2,", "c3,", "c4,"]
    assert "   - the sky above is blue" in lines
    assert "   + the sky above is green" in lines


def test_an_answer_cannot_write_into_the_comment(project):
    evil = "x\n```\n\n# Merged\n@everyone ![p](http://a.test/p.png) <!-- slipway-gate -->"
    verdict = Verdict("note", "score", "BLOCK", "a | b @everyone <b>", ())
    shown = page(runs.feature_run([answered("bad", evil, 0)]), verdict, name="comment.md")
    outside = [line for line in shown.splitlines() if not line.startswith("   + ")]
    assert shown.count("   + x ``` # Merged @everyone") == 1
    assert not [line for line in outside if "Merged" in line or "@everyone" in line or "<b>" in line]
    assert "a \\| b @\u200beveryone &lt;b&gt;" in shown


def test_junit_counts_what_the_gate_says_no_to(project):
    accept(answered("bad", "words", 1), answered("known", "words", 0.5))
    cases = [answered("bad", "other", 0), answered("known", "words", 0.5), answered("good", "words", 1)]
    attack = runs.case("attack", {"error": 1.0}, "adversarial", code="blocked")
    tree = ET.fromstring(page(runs.feature_run([*cases, attack]), BLOCK, name="junit.xml"))
    counts = {s.get("name"): (s.get("tests"), s.get("failures")) for s in tree}
    assert counts == {"verdicts": ("1", "1"), "note adversarial": ("1", "0"), "note golden": ("3", "1")}
    for suite in tree:
        assert len(suite.findall("testcase")) == int(suite.get("tests", "-1"))
        assert len(suite.findall("testcase/failure")) == int(suite.get("failures", "-1"))
    assert tree.find(".//testcase[@name='bad']/failure").get("message") == "score 1.00 -> 0.00, missed: facts"


def test_junit_is_green_where_the_gate_is(project):
    accept(answered("bad", "words", 1))
    tree = ET.fromstring(page(runs.feature_run([answered("bad", "other", 0.9)]), PASS, name="junit.xml"))
    assert tree.findall(".//failure") == []
    assert "missed: facts" in tree.find(".//testcase[@name='bad']/system-out").text


def test_control_characters_and_halves_of_characters_break_no_file(project):
    evil = "a\x00\x1b[31m\ufffe\ud800]]>&<b>"
    done = runs.feature_run([answered("bad", evil, 0, detail=evil)])
    verdicts = [judge.invariants(done), Verdict("note", "score", "BLOCK", evil, (evil,))]
    tree = ET.fromstring(page(done, *verdicts, name="junit.xml"))
    assert tree.find(".//testcase[@name='bad']/failure").text == "a\ufffd\ufffd[31m\ufffd\ufffd]]>&<b>"
    assert json.loads(Path("var/reports/report.json").read_text(encoding="utf-8"))["schema"] == 1
    for name in ("report.html", "comment.md", "summary.md"):
        assert "\x00" not in Path("var/reports", name).read_text(encoding="utf-8")
