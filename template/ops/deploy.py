"""The commands of a deploy: which machines, in which order, and what is undone where one of them fails."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import httpx2
from docker.errors import APIError, DockerException
from requests import RequestException

from ops import backups, build, doctor, lock, proxy, prune, recover, secrets, ship, stages
from ops import host as hosts
from ops import state as states
from ops.build import Tell
from ops.errors import Lost, NotReady, OpsError
from ops.host import Host
from ops.lock import Shell
from ops.screen import Screen
from ops.ship import Site
from ops.stages import Stage
from ops.state import State

# A first certificate takes seconds.
REACHED_S = 20


@dataclass(frozen=True)
class Done:
    """What a command brought: the version that serves and the place where it does."""

    version: str
    url: str
    past: list[str]
    unreached: str = ""
    is_back: bool = False


def deploy(name: str, screen: Screen) -> Done:
    """Bring the commit that is checked out into service; raise what keeps it from it."""
    stage = stages.load(name)
    with screen.step("preflight") as step:
        step.end(check(name))
    version, files = build.version(), secrets.bundle(name)
    with opened(name, stage, screen, f"deploy {version}") as sites:
        found = [recover.recover(site) for site in sites]
        comes = any(state.stable != version for state in found)
        if comes:
            images(sites, version)
            everywhere(sites, found, version, files)
        if comes or not sites[0].host.container(backups.ROLE):
            backups.ensure_nightly(sites[0].host, stage.backup)
        done = Done(version, stage.url, states.read(sites[0].shell).past)
    return replace(done, unreached=unreached(stage))


def unreached(stage: Stage) -> str:
    """Why the stage's URL does not answer from here; nothing where it does, or is not for us to reach."""
    if stage.bind.startswith("127.") and stage.hosts[0] != hosts.LOCAL:
        return ""
    why = ""

    def answers() -> bool:
        nonlocal why
        try:
            # The deploy is done; whose certificate it is shows in the client's browser.
            why = "" if httpx2.get(f"{stage.url}/healthz", timeout=5).is_success else "it does not say ok"
        except httpx2.HTTPError as error:
            why = hosts.reason(error)
        return not why

    hosts.until(answers, REACHED_S, every=1)
    return why


def check(name: str) -> str:
    """Raise NotReady with every check of the doctor that fails."""
    found = list(doctor.examine(name))
    if bad := [one for one in found if not one.ok]:
        raise NotReady("\n".join(f"{one.what}: no; {one.remedy}" for one in bad))
    return f"{len(found)} checks"


@contextmanager
def opened(
    name: str, stage: Stage, screen: Screen, why: str, *, new_tools: bool = True
) -> Iterator[list[Site]]:
    """The stage's machines with their tools, each locked by us; raise Locked where one is not to be had.

    Without `new_tools` those of the proxies that run are taken: nothing is built then.
    """
    name = build.prefix(name)
    with ExitStack() as held:
        sites = []
        for target in stage.hosts:
            host = held.enter_context(hosts.connect(target, name))
            with screen.step("tools") as step:
                host = replace(host, tools=tools(host, step.tell, new=new_tools))
                step.end(host.tools)
            with screen.step("lock") as step:
                shell = held.enter_context(lock.hold(host, why))
                step.end(target)
            sites.append(Site(host, stage, shell, screen))
        with screen.step("proxy") as step:
            notes = [note for site in sites if (note := proxied(site))]
            step.end("; ".join([f"{stage.url} leads to HAProxy", *notes]))
        try:
            yield sites
        except (DockerException, RequestException) as error:
            raise Lost(f"{', '.join(stage.hosts)}: the engine says: {hosts.reason(error)}") from error


def tools(host: Host, tell: Tell, *, new: bool) -> str:
    """The image of the server's tools."""
    held = host.container("lb")
    if not new and held and held.image and held.image.tags:
        return str(held.image.tags[0])
    return build.tools(host, build.project(), tell)


def proxied(site: Site) -> str:
    """See that the proxies run, and say where they are older than their files; raise NotReady for a port."""
    try:
        proxy.ensure(site.host, site.stage, site.shell)
    except APIError as error:
        if "port is already allocated" not in str(error) and "address already in use" not in str(error):
            raise
        told = str(error.explanation).rpartition("): ")[2]
        raise NotReady(
            f"{site.host.target}: a port is taken ({told}): change it in config/deploy.toml"
        ) from error
    if proxy.is_current(site.host, site.stage, site.shell):
        return ""
    return f"infra/server changed: uv run ops proxy-upgrade ({site.host.target})"


def images(sites: list[Site], version: str) -> None:
    """Build the version's image on each machine, or once here and bring it there."""
    for site in sites:
        with site.screen.step("image") as step:
            build.bring(site.host, site.stage, site.image(version), step.tell)
            step.end(site.image(version))


def everywhere(sites: list[Site], found: list[State], version: str, files: Mapping[str, bytes]) -> None:
    """One machine after the other, the first with the canary; where one fails, those before it go back."""
    done: list[tuple[Site, str]] = []
    for site, state in zip(sites, found, strict=True):
        before = state.stable
        if before == version:  # an earlier run came as far as this
            done.append((site, next(iter(state.past), "")))
            continue
        try:
            ship.prepare(site, state, version, files)
            ship.arrive(site, state, version, site.stage.canary.steps if not done else ())
        except (OpsError, DockerException, RequestException, KeyboardInterrupt):
            for other, earlier in reversed(done):
                if earlier:
                    recover.back(other, states.read(other.shell), earlier)
            raise
        done.append((site, before))


def rollback(name: str, version: str, screen: Screen) -> Done:
    """Serve an earlier version again, at once; raise NotReady where none is kept."""
    stage, why = stages.load(name), f"rollback to {version or 'the version before'}"
    with opened(name, stage, screen, why, new_tools=False) as sites:
        before = [states.read(site.shell) for site in sites]
        now = [recover.recover(site) for site in sites]
        wanted = version or recover.aim(before, now)
        for state in now:  # before the first one changes
            recover.require_kept(state, wanted)
        for site, state in zip(sites, now, strict=True):
            recover.back(site, state, wanted)
        state = states.read(sites[0].shell)
        return Done(state.stable, stage.url, state.past, is_back=True)


@contextmanager
def looked_at(name: str, target: str) -> Iterator[tuple[Host, Shell]]:
    """A machine as it is, without its lock; raise NotReady where nothing was deployed."""
    with hosts.connect(target, build.prefix(name)) as host:
        held = host.container("lb")
        if held is None or held.status != "running":
            raise NotReady(f"{target}: nothing runs there yet: uv run ops deploy {name}")
        yield host, Shell(held)


def ask_app(host: Host, shell: Shell, words: Sequence[str]) -> tuple[int, str]:
    """Exit code and output of a command of `app` in the container that serves."""
    held = host.container(f"web-{states.read(shell).stable}")
    if held is None:
        raise NotReady(f"{host.target}: nothing serves there")
    code, said = hosts.executed(held, ["app", *words], {"OPS_ACTOR": lock.me(), "COLUMNS": "110"})
    return code, said.decode(errors="replace")


def unlock(name: str) -> list[str]:
    """Break the stage's lock on each machine; returns where there was one. Its owner changes nothing more."""
    broken = []
    for target in stages.load(name).hosts:
        with hosts.connect(target, build.prefix(name)) as host:
            if lock.release(host):
                broken.append(target)
    return broken


def proxy_upgrade(name: str, screen: Screen) -> None:
    """Start both proxies anew from infra/server, with the latest packages; a POST meanwhile can fail."""
    stage = stages.load(name)
    with opened(name, stage, screen, "proxy-upgrade") as sites:
        for site in sites:
            recover.recover(site)
            with screen.step("new proxies") as step:
                latest = build.tools(site.host, build.project(), step.tell, anew=True)
                proxy.renew(replace(site.host, tools=latest), site.stage, site.shell)
                step.end(latest)


def destroy(name: str, *, data: bool) -> list[str]:
    """Remove all that the stage has on its machines; its data and backups only where `data` says so."""
    gone = []
    for target in stages.load(name).hosts:
        with hosts.connect(target, build.prefix(name)) as host:
            gone += prune.everything(host, data=data)
    return gone
