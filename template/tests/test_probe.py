"""The probe: what a health check and a deploy ask the app in its container."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from app import probe
from tests import kit


class App(BaseHTTPRequestHandler):
    """Says which key it was shown; /gone is 503."""

    def do_GET(self):
        self.send_response(503 if self.path == "/gone" else 200)
        self.end_headers()
        self.wfile.write(f"{self.path} {self.headers['Authorization']}".encode())

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def port(monkeypatch, tmp_path):
    server = HTTPServer(("127.0.0.1", 0), App)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(probe, "PORT", server.server_port)
    monkeypatch.setattr(probe, "KEY", tmp_path / "app_metrics_key")
    yield server.server_port
    server.shutdown()
    server.server_close()


def run(monkeypatch, capsys, path):
    """Run the probe; returns its exit code and what it printed."""
    monkeypatch.setattr("sys.argv", ["probe", path])
    return probe.main(), capsys.readouterr().out


def test_prints_the_body_and_ends_well(port, monkeypatch, capsys):
    assert run(monkeypatch, capsys, "/healthz") == (0, "/healthz None\n")


def test_any_other_answer_than_2xx_is_a_failure_that_shows_the_body(port, monkeypatch, capsys):
    assert run(monkeypatch, capsys, "/gone") == (1, "/gone None\n")


def test_shows_the_metrics_key_where_that_file_is(port, monkeypatch, capsys):
    kit.write(probe.KEY, "key-of-metrics\n")
    assert run(monkeypatch, capsys, "/metrics") == (0, "/metrics Bearer key-of-metrics\n")


def test_nobody_who_listens_is_a_failure_with_its_reason(port, monkeypatch, capsys):
    monkeypatch.setattr(probe, "PORT", 1)
    code, said = run(monkeypatch, capsys, "/healthz")
    assert (code, said.partition(":")[0]) == (1, "ConnectionRefusedError")
