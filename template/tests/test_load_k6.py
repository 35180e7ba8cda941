"""The script for k6: it asks every route, holds the SLOs, and writes what `gate load` reads."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from load import seen
from load.drive import HERE
from load.work import Route, Work
from tests import kit

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
SCRIPT = HERE / "inference.js"
# k6's own modules, as far as the script uses them; a metric keeps what was added to it.
MODULES = {
    "package.json": '{"name": "k6", "type": "module", "exports": {".": "./metrics.js", "./*": "./*.js"}}',
    "http.js": "export const sent = [];\nexport default { post(url, body, how) {\n"
    "  sent.push({ url, body, how }); return globalThis.answer(how.headers.Accept); } };\n",
    "metrics.js": "export const all = {};\nclass Metric {\n"
    "  constructor(name) { this.added = []; all[name] = this; }\n"
    "  add(value) { this.added.push(Number(value)); } }\n"
    "export { Metric as Counter, Metric as Rate, Metric as Trend };\n",
}
RUN = """\
import { readFileSync } from 'node:fs';
globalThis.__ENV = { LOAD_WORK: 'work.json', LOAD_SEEN: 'seen.json', LOAD_KEY: 'of-a-tenant' };
globalThis.open = (path) => readFileSync(path, 'utf-8');
const event = 'event: result\\ndata: {"meta": {"cached": true}}';
globalThis.answer = (accept) => ({
  status: 200, timings: { duration: 250, waiting: 20 },
  body: accept === 'text/event-stream' ? event : '{"meta": {"cached": false}}',
});
const { default: ask, options, handleSummary } = await import('./inference.mjs');
const { sent } = await import('k6/http');
const { all } = await import('k6/metrics');
for (let number = 0; number < 200; number++) ask();
globalThis.answer = () => ({ status: 429, timings: { duration: 1, waiting: 1 }, body: '' });
for (let number = 0; number < 20; number++) ask();
const metrics = Object.fromEntries(Object.entries(all).map(([name, { added }]) => {
  const passes = added.filter(Boolean).length;
  const sum = added.reduce((a, b) => a + b, 0);
  const at = added[0] ?? 0;
  const times = { med: at, 'p(95)': at, 'p(99)': at };
  return [name, { values: { passes, fails: added.length - passes, count: sum, ...times } }];
}));
const files = handleSummary({ metrics, state: { testRunDurationMs: 10000 } });
console.log(JSON.stringify({ options, files, sent }));
"""


@pytest.fixture
def ran(tmp_path: Path) -> dict:
    """What the script said of itself, run 220 times by node with stand-ins for k6's modules."""
    routes = [
        Route(feature="note", inputs=[kit.TEXT], text="text", slow_ms=200, error_rate=0.02, searches=False),
        Route(
            feature="ask", inputs=[kit.QUESTION], text="question", slow_ms=900, error_rate=0.01, searches=True
        ),
    ]
    told = Work(seconds=10, users=3, url="http://127.0.0.1:9", routes=routes)
    kit.write(tmp_path / "work.json", told.model_dump_json())
    for name, text in MODULES.items():
        kit.write(tmp_path / "node_modules/k6" / name, text)
    kit.write(tmp_path / "inference.mjs", SCRIPT.read_text())
    kit.write(tmp_path / "run.mjs", RUN)
    done = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_script_is_a_module_that_node_can_read(tmp_path):
    module = shutil.copy(SCRIPT, tmp_path / "inference.mjs")
    assert subprocess.run(["node", "--check", module], capture_output=True).returncode == 0


def test_its_thresholds_are_the_promises(ran):
    assert ran["options"]["thresholds"] == {
        f"{feature}_{way}_{what}": [f"rate<={allowed}"]
        for feature, error_rate in (("note", 0.02), ("ask", 0.01))
        for way in ("whole", "stream")
        for what, allowed in (("slow", 0.05), ("errors", error_rate))
    }
    clients = ran["options"]["scenarios"]["clients"]
    assert (clients["vus"], clients["duration"]) == (3, "10s")


def test_it_asks_every_route_in_both_ways_with_marks_and_the_key(ran):
    asked = {(one["url"], one["how"]["headers"]["Accept"]) for one in ran["sent"]}
    ways = ("application/json", "text/event-stream")
    assert asked == {(f"http://127.0.0.1:9/v1/{name}", way) for name in ("note", "ask") for way in ways}
    assert len({one["body"] for one in ran["sent"]}) == 220
    assert {one["how"]["headers"]["Authorization"] for one in ran["sent"]} == {"Bearer of-a-tenant"}


def test_it_writes_what_gate_load_reads(ran):
    rows = seen.FILE.validate_json(ran["files"]["seen.json"])
    assert [(row.feature, row.way) for row in rows] == [
        ("note", "whole"), ("note", "stream"), ("ask", "whole"), ("ask", "stream"),
    ]  # fmt: skip
    assert sum(row.requests for row in rows) == 200
    assert sum(row.refused for row in rows) == 20
    assert [row.slow == row.requests for row in rows] == [True, True, False, False]
    assert [row.cached for row in rows] == [0, rows[1].requests, 0, rows[3].requests]
    assert [row.first_p95_ms for row in rows if row.way == "stream"] == [20, 20]
