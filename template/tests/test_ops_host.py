"""What a command in a container prints arrives whole, however the engine's answer is cut."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from docker import DockerClient
from docker.errors import APIError, NotFound
from docker.models.containers import Container

from ops.host import executed

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"


def frame(stream: int, said: bytes) -> bytes:
    """A piece of output as the engine sends it."""
    return bytes([stream, 0, 0, 0]) + len(said).to_bytes(4) + said


class Engine(BaseHTTPRequestHandler):
    """Runs nothing; a command's output comes in one packet with the head of the answer, as ssh brings it."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/start"):
            self.wfile.write(HEAD + frame(1, b"pxname,") + frame(2, b"svname\n") + frame(1, b"x" * 70_000))
            self.close_connection = True
        elif "/gone/" in self.path:
            self.answer(404, {"message": "no such container"})
        elif "/stopped/" in self.path:
            self.answer(409, {"message": "is not running"})
        else:
            self.answer(201, {"Id": "e1"})

    def do_GET(self):
        self.answer(200, {"ExitCode": 3})

    def answer(self, status: int, told: dict) -> None:
        """Send an object."""
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        """Say nothing."""


@pytest.fixture
def docker():
    server = HTTPServer(("127.0.0.1", 0), Engine)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = DockerClient(base_url=f"http://127.0.0.1:{server.server_port}", version="1.41")
    yield client
    client.close()
    server.shutdown()
    server.server_close()


def held(docker: DockerClient, name: str) -> Container:
    """A container that the engine knows by this id."""
    return Container({"Id": name, "Name": f"/{name}"}, client=docker)


def test_output_that_comes_with_the_head_of_the_answer_is_not_lost(docker):
    code, said = executed(held(docker, "desk-lock"), ["show", "stat"])
    assert (code, said) == (3, b"pxname,svname\n" + b"x" * 70_000)


def test_a_container_that_is_gone_or_has_ended_is_told_apart_from_an_empty_output(docker):
    with pytest.raises(NotFound):
        executed(held(docker, "gone"), ["true"])
    with pytest.raises(APIError, match="is not running"):
        executed(held(docker, "stopped"), ["true"])
