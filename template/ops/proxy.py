"""The way in: Caddy with TLS at the edge, HAProxy with two slots behind it."""

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template

from docker.errors import APIError
from docker.models.containers import Container

from ops import state as states
from ops.errors import Failed
from ops.host import ALWAYS, LOCKED, Host, tail, until
from ops.lock import STATE, Shell
from ops.stages import Stage, address
from ops.state import SLOTS, Slot, State

FILES = Path("infra/server")
CONFIG, EDGE = "haproxy.cfg", "Caddyfile"
SOCKET = f"{STATE}/haproxy.sock"
LOG = {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}}
# A slot that is not named is closed: requests that run there come to their end.
Weights = Mapping[Slot, int]
FULL = 100
# Where Caddy keeps its certificates.
HOME = {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/data"}
# A slot without a container is no name that any server knows: one second is enough to ask for it.
DNS = ["timeout:1", "attempts:1"]
# A proxy that cannot read its file ends within this.
STARTS_S = 1.5
# A proxy that a busy machine holds up answers within this.
ANSWERS_S = 5.0


@dataclass(frozen=True)
class Seen:
    """A slot as the proxy sees it: state, address, open requests; counters of requests and failed ones."""

    state: str
    address: str
    open: int
    requests: int
    failed: int


def weights(state: State) -> Weights:
    """What a state says of the traffic."""
    shares: dict[Slot, int] = {state.slot(state.stable): FULL} if state.stable else {}
    if state.coming and state.coming in state.slots.values():
        shares[state.slot(state.coming)] = weight(state.share) if state.stable else FULL
    return shares


def weight(share: int) -> int:
    """The weight beside a stable version of 100 that gets a share of the traffic in percent."""
    return max(1, round(FULL * share / (100 - share))) if share else 0


def route(host: Host, stage: Stage, shell: Shell, key: str, shares: Weights) -> None:
    """Give each slot its weight: in the file, for a restart, and then in the running proxy."""
    shell.write(CONFIG, config(host, stage, key, shares))
    words = [f"set server app/{slot} {what}" for slot in SLOTS for what in settings(shares, slot)]
    told = ask(shell, ";".join(words)).strip()
    if told and "resolve" not in told:  # "no address yet" is told of a slot that is still starting
        raise Failed(f"HAProxy refused '{'; '.join(words)}': {told}")


def settings(shares: Weights, slot: Slot) -> list[str]:
    """What the running proxy is told of a slot."""
    return [f"weight {shares[slot]}", "state ready"] if slot in shares else ["state maint"]


def config(host: Host, stage: Stage, key: str, shares: Weights) -> str:
    """HAProxy's file with these weights."""
    words: dict[str, str] = {slot: f"{shares[slot]}" if slot in shares else "0 disabled" for slot in SLOTS}
    text = (FILES / CONFIG).read_text(encoding="utf-8")
    return Template(text).substitute(words, name=host.name, slot_key=key, drain_s=stage.drain_s)


def ask(shell: Shell, words: str) -> str:
    """What HAProxy answers on its socket; raise Failed where it does not listen within five seconds."""
    listens = f"for i in $(seq 50); do if [ -S {SOCKET} ]; then break; fi; sleep 0.1; done"
    return shell.run(f'{listens}; echo "$1" | socat -t 5 - UNIX-CONNECT:{SOCKET}', words)


def seen(shell: Shell) -> dict[str, Seen]:
    """Each slot's state and counters; `failed` are 5xx answers and connections that broke.

    Raises Failed where HAProxy does not name both slots.
    """
    found: dict[str, Seen] = {}

    def is_whole() -> bool:
        nonlocal found
        # It does not listen yet, or its table was cut in the middle of a line.
        with suppress(Failed, AttributeError, TypeError, ValueError):
            found = parsed(ask(shell, "show stat"))
        return set(SLOTS) <= found.keys()

    if not until(is_whole, ANSWERS_S, every=0.25):
        raise Failed("HAProxy does not say how its slots are: see ops logs STAGE --part lb")
    return found


def parsed(said: str) -> dict[str, Seen]:
    """The slots in HAProxy's table."""
    rows = csv.DictReader(io.StringIO(said.removeprefix("# ")))
    return {
        row["svname"]: Seen(
            row["status"], row["addr"].rpartition(":")[0], int(row["scur"]), int(row["stot"]),
            sum(int(row[name]) for name in ("hrsp_5xx", "econ", "eresp")),
        )
        for row in rows if row["pxname"] == "app" and row["svname"] in SLOTS
    }  # fmt: skip


def ensure(host: Host, stage: Stage, shell: Shell) -> None:
    """Network, HAProxy and edge, made where they are missing; with the weights that the state knows."""
    if not host.docker.networks.list(names=[f"^{host.name}$"]):
        host.docker.networks.create(host.name, labels=host.labels)
    if not shell.read(CONFIG):
        state = states.read(shell)
        states.save(shell, state)
        shell.write(CONFIG, config(host, stage, state.slot_key, weights(state)))
    start(
        host, "lb", ["/usr/sbin/haproxy", "-W", "-db", "-f", f"{STATE}/{CONFIG}"], stage.inside(host.target)
    )
    if host.target == stage.hosts[0]:
        if not shell.read(EDGE):
            shell.write(EDGE, edge(host, stage))
        start(host, "edge", ["/usr/bin/caddy", "run", "--config", f"{STATE}/{EDGE}"], stage.ports)


def is_current(host: Host, stage: Stage, shell: Shell) -> bool:
    """Whether both proxies are of infra/server and of the stage as they are now."""
    held, facing = host.container("lb"), host.container("edge")
    made_of = held.image.tags if held and held.image else []
    if facing is None:
        return host.tools in made_of
    bound = facing.attrs["HostConfig"]["PortBindings"] or {}
    ports = {inside: [{"HostIp": at, "HostPort": str(port)}] for inside, (at, port) in stage.ports.items()}
    return host.tools in made_of and bound == ports and shell.read(EDGE) == edge(host, stage)


def renew(host: Host, stage: Stage, shell: Shell) -> None:
    """Start both proxies anew, from infra/server as it is now; the edge holds what comes meanwhile."""
    state = states.read(shell)
    shell.write(CONFIG, config(host, stage, state.slot_key, weights(state)))
    shell.write(EDGE, edge(host, stage))
    for part in ("lb", "edge"):
        if held := host.container(part):
            held.stop(timeout=5)
            held.remove()
        ensure(host, stage, shell)


def start(host: Host, part: str, command: list[str], ports: Mapping[str, tuple[str, int]]) -> None:
    """Start one of the two proxies, made where it is missing."""
    volumes = {f"{host.name}-state": STATE, f"{host.name}-tls": "/data"}
    held = host.container(part) or host.docker.containers.create(
        host.tools, command, name=f"{host.name}-{part}", network=host.name, ports=dict(ports),
        labels={**host.labels, "deploy.role": part}, restart_policy=ALWAYS,
        log_config=LOG, environment=HOME, **LOCKED,
        stop_signal="SIGUSR1" if part == "lb" else "SIGTERM",
        dns_opt=DNS if part == "lb" else None,
        volumes={name: {"bind": path, "mode": "rw"} for name, path in volumes.items()},
    )  # fmt: skip
    if held.status in ("created", "exited"):
        try:
            held.start()
        except APIError:  # a port is taken: the next run makes it anew, with the port that is then wanted
            held.remove(force=True)
            raise
        until(lambda: falls(held), STARTS_S)
    if falls(held):
        raise Failed(f"{held.name} does not stay up; its last lines:\n{tail(held)}")


def falls(held: Container) -> bool:
    """Whether a proxy ends and is started again and again."""
    held.reload()
    return bool(held.attrs["State"]["Restarting"] or held.attrs["State"]["ExitCode"])


def edge(host: Host, stage: Stage) -> str:
    """Caddy's file: HTTPS with a certificate of its own where the stage has a domain, else plain HTTP."""
    text = (FILES / EDGE).read_text(encoding="utf-8")
    behind = [f"{host.name}-lb:8080", *(f"{address(one)}:{stage.inner_port}" for one in stage.hosts[1:])]
    return Template(text).substitute(site=stage.domain or ":80", upstreams=" ".join(behind))
