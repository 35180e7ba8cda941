"""Bring a version into service: warm, tried, then with a growing share of the traffic; or take it back.

The state is written before traffic moves, so that a later run can finish or undo what it finds.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ops import backups, proxy, prune, replay, slots, verdict
from ops import host as hosts
from ops import state as states
from ops.errors import Failed, Lost, OpsError
from ops.host import Host
from ops.lock import Shell
from ops.screen import Screen, Step
from ops.stages import Stage
from ops.state import State

# Of the tables and the index: large ones take long.
SETUP_S = 3_600


@dataclass(frozen=True)
class Site:
    """One machine of a stage while its lock is held."""

    host: Host
    stage: Stage
    shell: Shell
    screen: Screen

    def image(self, version: str) -> str:
        """The name of a version's image, which is this stage's alone."""
        return f"{self.host.name}:{version}"


def prepare(site: Site, state: State, version: str, files: Mapping[str, bytes]) -> None:
    """Secrets, a backup of what is there, and the tables that the new version needs.

    Raises Lost, and changes nothing, where somebody broke the lock while we built or saved.
    """
    site.shell.require()
    with site.screen.step("secrets") as step:
        state.secrets[version] = slots.keep_secrets(site.host, files)
        step.end(f"{len(files)} files, readable by the app alone")
    if state.stable or has_data(site):
        with site.screen.step("backup") as step:
            saved = backups.snapshot(site.host, site.stage.backup, f"pre-{version}", state.secrets[version])
            step.end(f"{saved['id']} pre-{version}: {saved['rows']:,} rows in {saved['tables']} tables")
    with site.screen.step("migrate") as step:
        shared = slots.volumes(site.host, state.secrets[version])
        site.shell.require()
        hosts.once(
            site.host, site.image(version), ["setup"], network=site.host.name, volumes=shared, seconds=SETUP_S
        )
        step.end("tables and index are ready for both versions")


def has_data(site: Site) -> bool:
    """Whether a stage of which nothing serves holds a database all the same: destroyed but for it."""
    volumes = {f"{site.host.name}-data": slots.DATA}
    return "app.db" in hosts.once(site.host, site.host.tools, ["ls", slots.DATA], volumes=volumes).split()


def arrive(site: Site, state: State, version: str, steps: Sequence[int], *, back: bool = False) -> None:
    """Start a version beside the one that serves, try it, give it traffic in steps, and make it stable.

    Whatever goes wrong before the last step takes it back; raises Failed with the reason. `back` is the way
    to a version of before: what it replaces is no place to return to.
    """
    before = state.stable
    state.coming, state.phase, state.share, state.back = version, "starting", 0, back
    state.slots[state.idle] = version
    states.save(site.shell, state)
    states.note(site.shell, f"{'roll back to' if back else 'deploy'} {version}; {before or 'nothing'} serves")
    try:
        warm(site, state, tries=not back)
        for share in steps if before else ():
            canary(site, state, share)
        state.phase = "promoting"
        states.save(site.shell, state)
    except Lost:
        raise
    except (KeyboardInterrupt, Exception) as error:
        why = str(error) if isinstance(error, OpsError) else f"{type(error).__name__}: {hosts.reason(error)}"
        undo(site, state, why)
        raise Failed(f"{version} was taken back, {before or 'nothing'} serves: {why}") from error
    finish(site, state)


def warm(site: Site, state: State, *, tries: bool) -> None:
    """Start the version without traffic, wait until the proxy finds it ready, let it answer golden cases."""
    slot, version = state.slot(state.coming), state.coming
    with site.screen.step("start") as step:
        slots.start_web(site.host, site.stage, site.image(version), version, slot, state.secrets[version])
        step.end(f"{version} in {slot}")
    with site.screen.step("ready") as step:
        route(site, state, proxy.weights(state))
        slots.wait_ready(site.host, site.stage, site.shell, version, slot)
        step.end("the proxy finds it ready")
    if site.stage.replay and tries:
        with site.screen.step("golden cases") as step:
            image = site.image(version)
            said = replay.run(site.host, site.stage, image, state)
            slots.wait_ready(site.host, site.stage, site.shell, version, slot)  # it may have died of a case
            step.end(said)


def canary(site: Site, state: State, share: int) -> None:
    """Give the version a share of the traffic until its counters let it pass; raise Failed if they do not."""
    with site.screen.step(f"canary {share} %") as step:
        state.phase, state.share = "canary", share
        states.save(site.shell, state)
        slots.renew_lease(site.host, state.coming)
        before = samples(site, state)
        route(site, state, proxy.weights(state))
        watch(site, state, before, step)


def samples(site: Site, state: State) -> tuple[verdict.Sample, verdict.Sample]:
    """The counters of the new version and of the stable one."""
    new, old = state.coming, state.stable
    return (
        slots.sample(site.host, site.shell, new, state.slot(new)),
        slots.sample(site.host, site.shell, old, state.slot(old)),
    )


def watch(site: Site, state: State, before: tuple[verdict.Sample, verdict.Sample], step: Step) -> None:
    """Look at both versions until the rule says pass, or raise Failed; silence is what `on_quiet` says."""
    rule, began = site.stage.canary, time.monotonic()
    promised = replay.promised_ms()
    while True:
        time.sleep(rule.tick_s)
        slots.renew_lease(site.host, state.coming)
        new, old = samples(site, state)
        word, why = verdict.judge(new.since(before[0]), old.since(before[1]), rule, promised)
        spent = time.monotonic() - began
        step.tell(f"{word}: {why}", min(spent / rule.bake_s, 1))
        if word == "fail":
            raise Failed(why)
        if word == "pass" and spent >= rule.bake_s:
            return step.end(why)
        if word == "doubt" and spent >= rule.max_wait_s:
            raise Failed(why)
        if word == "wait" and spent >= rule.max_wait_s and rule.on_quiet != "hold":
            return quiet(site, rule.on_quiet, why, step)


def quiet(site: Site, on_quiet: str, why: str, step: Step) -> None:
    """What becomes of a canary that too few people used."""
    if on_quiet == "rollback":
        raise Failed(f"too little traffic to judge it ({why}); see on_quiet in config/deploy.toml")
    states.note(site.shell, f"promoted without a verdict, as on_quiet says: {why}")
    step.end(f"no verdict, promoted as on_quiet says: {why}")


def finish(site: Site, state: State) -> None:
    """Give the new version everything and let the old one end; that it shall be so is already written."""
    new, old = state.coming, state.stable
    with site.screen.step("promote") as step:
        slots.end_lease(site.host, new)
        route(site, state, {state.slot(new): proxy.FULL})
        slots.start_workers(site.host, site.stage, site.image(new), new, state.secrets[new])
        step.end(f"{new} serves all requests")
    if old and old != new:
        with site.screen.step("drain") as step:
            slots.stop(site.host, site.stage, old)
            step.end(f"{old} has answered what it had")
    rest = [version for version in state.past if version not in (new, old)]
    mine = [old] if old and old != new else []
    state.past = ([*rest, *mine] if state.back else [*mine, *rest])[: site.stage.keep - 1]
    state.settle(new)
    state.secrets = {v: held for v, held in state.secrets.items() if v in (new, *state.past)}
    states.save(site.shell, state)
    states.note(site.shell, f"{new} is stable")
    with site.screen.step("prune") as step:
        step.end(prune.versions(site.host, state))


def undo(site: Site, state: State, why: str) -> None:
    """Give all traffic to the stable version and stop the other one."""
    gone = state.coming
    with site.screen.step("take back") as step:
        if state.stable:
            revive(site, state, state.stable)
        route(site, state, alone(state))
        states.note(site.shell, f"took back {gone}: {why}")
        if gone and gone != state.stable:
            slots.stop(site.host, site.stage, gone)
        state.settle(state.stable)
        states.save(site.shell, state)
        step.end(f"{state.stable or 'nothing'} serves all requests")


def route(site: Site, state: State, shares: proxy.Weights) -> None:
    """Give each slot its weight."""
    proxy.route(site.host, site.stage, site.shell, state.slot_key, shares)


def alone(state: State) -> proxy.Weights:
    """The weights with which the stable version serves all requests."""
    return {state.slot(state.stable): proxy.FULL} if state.stable else {}


def revive(site: Site, state: State, version: str) -> None:
    """See that a version's containers run; the one that serves is made anew where somebody removed it."""
    if held := site.host.container(f"web-{version}"):
        held.start()
    else:
        slot, image = state.slot(version), site.image(version)
        slots.start_web(site.host, site.stage, image, version, slot, state.secrets[version])
        slots.end_lease(site.host, version)
    for worker in site.host.containers("worker"):
        if worker.labels["deploy.version"] == version:
            worker.start()
