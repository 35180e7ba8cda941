"""The app's containers: a version in its slot, its workers, and the files that hold its secrets."""

import hashlib
import io
import tarfile
from collections.abc import Mapping
from contextlib import suppress

from docker.errors import NotFound
from docker.models.containers import Container
from prometheus_client.parser import text_string_to_metric_families

from ops import proxy
from ops.errors import Failed
from ops.host import ALWAYS, LOCKED, Host, executed, tail, until
from ops.lock import Shell
from ops.stages import Stage
from ops.state import Slot
from ops.verdict import Answers, Sample

USER = 10_001
DATA, SECRETS = "/app/var", "/run/secrets"
PORT = 8000
LEASE = "/tmp/canary-lease"  # noqa: S108
# Counters of the app's /metrics that a version is judged by.
COUNTED = {
    "app_requests_total": "paid", "app_cost_usd_total": "usd", "app_model_failures_total": "invalid",
    "app_guard_flags_total": "flagged",
}  # fmt: skip
UNSAFE = ("leak", "output-pii", "output-toxicity")


def keep_secrets(host: Host, files: Mapping[str, bytes]) -> str:
    """The volume that holds exactly these files, each readable by the app alone."""
    told = "".join(f"{name}\0{hashlib.sha256(value).hexdigest()}\n" for name, value in sorted(files.items()))
    name = f"{host.name}-secrets-{hashlib.sha256(told.encode()).hexdigest()[:12]}"
    host.docker.volumes.create(name, labels=host.labels)  # no harm where it is there, perhaps half made
    # Never started: the values go over the engine's socket into files, and are no program's argument.
    helper = host.docker.containers.create(
        host.tools, ["true"], labels={**host.labels, "deploy.role": "once"},
        volumes={name: {"bind": SECRETS, "mode": "rw"}},
    )  # fmt: skip
    try:
        helper.put_archive(SECRETS, packed(files))
    finally:
        helper.remove(force=True)
    return name


def packed(files: Mapping[str, bytes]) -> bytes:
    """A tar of files that only the app's user reads."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as tar:
        for name, content in files.items():
            item = tarfile.TarInfo(name)
            item.size, item.mode, item.uid, item.gid = len(content), 0o400, USER, USER
            tar.addfile(item, io.BytesIO(content))
    return held.getvalue()


def volumes(host: Host, secrets: str) -> dict[str, str]:
    """What a container of the app sees: the data and its secrets."""
    return {f"{host.name}-data": DATA, secrets: SECRETS}


def start_web(host: Host, stage: Stage, image: str, version: str, slot: Slot, secrets: str) -> Container:
    """Start a version in a slot; what is left of an earlier try goes. A canary that dies stays down."""
    return start(host, stage, image, f"web-{version}", secrets, f"{host.name}-{slot}", {
        "deploy.role": "web", "deploy.version": version, "deploy.slot": slot,
    }, ["serve", "--host", "0.0.0.0", "--port", str(PORT)])  # fmt: skip  # noqa: S104


def start_workers(host: Host, stage: Stage, image: str, version: str, secrets: str) -> None:
    """Start a version's workers."""
    told = {"deploy.role": "worker", "deploy.version": version}
    for number in range(stage.workers):
        start(host, stage, image, f"worker-{version}-{number}", secrets, "", told, ["worker"])


def start(
    host: Host, stage: Stage, image: str, part: str, secrets: str, alias: str, told: Mapping[str, str],
    command: list[str],
) -> Container:  # fmt: skip
    """Start one container of the app: read-only, without privileges, with limits."""
    if old := host.container(part):
        old.remove(force=True)
    shared = {name: {"bind": path, "mode": "ro" if path == SECRETS else "rw"}
              for name, path in volumes(host, secrets).items()}  # fmt: skip
    network = {host.name: host.docker.api.create_endpoint_config(aliases=[alias] if alias else None)}
    held = host.docker.containers.create(
        image, command, name=f"{host.name}-{part}", labels={**host.labels, **told}, volumes=shared,
        network=host.name, networking_config=network, restart_policy=None if alias else ALWAYS,
        tmpfs={"/tmp": "size=64m"}, mem_limit=f"{stage.memory_mb}m", log_config=proxy.LOG,  # noqa: S108
        healthcheck=None if alias else {"test": ["NONE"]}, **LOCKED,
    )  # fmt: skip
    held.start()
    return held


def wait_ready(host: Host, stage: Stage, shell: Shell, version: str, slot: Slot) -> None:
    """Wait until HAProxy itself finds this container in the slot and its check passes; raise Failed."""
    held, why = host.docker.containers.get(f"{host.name}-web-{version}"), ""

    def settled() -> bool:
        nonlocal why
        held.reload()
        if held.status in ("exited", "dead"):
            why = f"ended with exit code {held.attrs['State']['ExitCode']}"
            return True
        at = held.attrs["NetworkSettings"]["Networks"][host.name]["IPAddress"]
        found = proxy.seen(shell)[slot]
        return found.state == "UP" and found.address == at

    if not until(settled, stage.ready_s, every=0.25):
        why = f"was not ready within {stage.ready_s:.0f} s"
    if why:
        raise Failed(f"{version} {why}; its last lines:\n{tail(held)}")


def stop(host: Host, stage: Stage, version: str) -> None:
    """Stop a version's containers: what runs in them comes to its end, and they stay for a rollback."""
    mine = [c for role in ("web", "worker") for c in host.containers(role)]
    for held in (c for c in mine if c.labels["deploy.version"] == version):
        with suppress(NotFound):
            held.stop(timeout=stage.drain_s)


def renew_lease(host: Host, version: str) -> None:
    """Let a canary serve on for as long as its lease is."""
    executed(host.docker.containers.get(f"{host.name}-web-{version}"), ["touch", LEASE])


def end_lease(host: Host, version: str) -> None:
    """Let a version serve without a lease, and come back whenever it dies."""
    held = host.docker.containers.get(f"{host.name}-web-{version}")
    held.update(restart_policy=ALWAYS)
    executed(held, ["rm", "-f", LEASE])


def sample(host: Host, shell: Shell, version: str, slot: Slot) -> Sample:
    """A version's counters: failures as the proxy saw them, the rest as the app counts it.

    Raises Failed where the version does not run or shows no metrics.
    """
    held = host.docker.containers.get(f"{host.name}-web-{version}")
    if held.status != "running":
        raise Failed(f"{version} has {held.status}; its last lines:\n{tail(held)}")
    found = proxy.seen(shell)[slot]
    if not found.state.startswith("UP"):  # "UP 1/2": one check of two has failed, and it serves
        raise Failed(f"{version} is {found.state} for the proxy:\n{tail(held)}")
    code, said = executed(held, ["python", "-m", "app.probe", "/metrics"])
    if code:
        raise Failed(f"{version} shows no metrics: {said.decode(errors='replace').strip()[-200:]}")
    return counted(said.decode(), found)


def counted(text: str, found: proxy.Seen) -> Sample:
    """The sample of a version from what its /metrics says and what the proxy saw."""
    features: dict[str, dict[str, float]] = {}
    edges: dict[str, dict[float, float]] = {}
    for one in (s for family in text_string_to_metric_families(text) for s in family.samples):
        name = one.labels.get("feature", "")
        if one.name == "app_request_seconds_bucket":
            edges.setdefault(name, {})[float(one.labels["le"])] = one.value
        elif (key := COUNTED.get(one.name)) and is_counted(one.labels):
            held = features.setdefault(name, {})
            held[key] = held.get(key, 0) + one.value
    if not edges:
        raise Failed("/metrics has no app_request_seconds: is this the app's image?")
    answers = {name: Answers(one, **features.get(name, {})) for name, one in edges.items()}
    return Sample(found.requests, found.failed, answers)


def is_counted(labels: Mapping[str, str]) -> bool:
    """Of requests those that a model answered, of flags those of an answer; all of the rest."""
    if "outcome" in labels:
        return labels["outcome"] == "ok" and labels["cached"] == "false"
    return labels.get("flag", UNSAFE[0]) in UNSAFE
