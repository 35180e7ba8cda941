"""What an earlier run left: finished or undone; and the way back to a version of before."""

from docker.errors import APIError, NotFound

from ops import ship, slots
from ops import state as states
from ops.errors import Failed, NotReady
from ops.ship import Site
from ops.state import State


def recover(site: Site) -> State:
    """Finish or undo what an earlier run left, and see that what is stable serves."""
    state = states.read(site.shell)
    if state.phase == "promoting" and revived(site, state):
        states.note(site.shell, f"found {state.coming} on its way to stable: finishing")
        ship.finish(site, state)
    elif state.phase != "idle":
        ship.undo(site, state, f"an earlier run ended while it was {state.phase}")
    elif state.stable:
        ship.revive(site, state, state.stable)
        ship.route(site, state, ship.alone(state))
    return state


def revived(site: Site, state: State) -> bool:
    """Whether a version that was about to become stable serves; its lease may have ended meanwhile."""
    version = state.coming
    try:
        ship.revive(site, state, version)
        slots.renew_lease(site.host, version)
        slots.wait_ready(site.host, site.stage, site.shell, version, state.slot(version))
    except (NotFound, APIError, Failed):
        return False
    return True


def aim(before: list[State], now: list[State]) -> str:
    """The version that a rollback leads to: where an earlier run was going, else the one before."""
    was_going = any(state.back and state.phase == "promoting" for state in before)
    if was_going or len({state.stable for state in now}) > 1:
        return now[0].stable
    everywhere = (version for version in now[0].past if all(version in state.past for state in now))
    return next(everywhere, "")


def back(site: Site, state: State, version: str) -> None:
    """Serve a version of before again; raise NotReady where it is not kept."""
    require_kept(state, version)
    if version != state.stable:
        ship.arrive(site, state, version, (), back=True)


def require_kept(state: State, version: str) -> None:
    """Raise NotReady where a version neither serves nor is kept."""
    if not version or version not in (state.stable, *state.past):
        kept = ", ".join(state.past) or "none"
        raise NotReady(f"{version or 'an earlier version'} is not kept here (kept: {kept}): deploy it anew")
