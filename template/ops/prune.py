"""Remove from a machine what no version that is kept needs, or all that a stage has there."""

import re
from contextlib import suppress

from docker.errors import APIError

from ops import host as hosts
from ops.host import Host
from ops.state import State


def versions(host: Host, state: State) -> str:
    """Remove containers, secrets and images of versions that are not kept; returns what was kept."""
    kept = {state.stable, *state.past}
    old = [c for role in ("web", "worker") for c in host.containers(role)]
    old = [c for c in old if c.labels["deploy.version"] not in kept]
    # What a killed run left: it holds volumes with secrets.
    old += [c for c in host.containers("once") if c.status != "running"]
    for held in old:
        held.remove(force=True)
    mine = {"label": f"{hosts.LABEL}={host.name}", "name": f"{host.name}-secrets-"}
    for volume in host.docker.volumes.list(filters=mine):
        if volume.name not in state.secrets.values():
            with suppress(APIError):  # 409: a container that runs has it; the next run removes it
                volume.remove()
    for tag in (tag for image in host.docker.images.list(host.name) for tag in image.tags):
        if tag.rpartition(":")[2] not in kept:
            with suppress(APIError):
                host.docker.images.remove(tag)
    host.docker.images.prune(filters={"dangling": True, "until": "168h"})
    return f"{len(old)} containers removed; kept: {', '.join(sorted(kept))}"


def everything(host: Host, *, data: bool) -> list[str]:
    """Remove a stage's containers, volumes, images and network from one machine; returns their names."""
    mine = {"label": f"{hosts.LABEL}={host.name}"}
    parts = "state|tls|secrets-[0-9a-f]{12}" + ("|data|backups" if data else "")
    gone = []
    for held in host.docker.containers.list(all=True, filters=mine, ignore_removed=True):
        held.remove(force=True, v=True)
        gone.append(str(held.name))
    for volume in host.docker.volumes.list():
        if re.fullmatch(f"{host.name}-({parts})", volume.name):  # another stage's name may begin alike
            volume.remove()
            gone.append(volume.name)
    for tag in (tag for image in host.docker.images.list(host.name) for tag in image.tags):
        host.docker.images.remove(tag)
        gone.append(tag)
    for network in host.docker.networks.list(filters=mine):
        network.remove()
        gone.append(str(network.name))
    return gone
