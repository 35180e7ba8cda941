"""The worker process: jobs and alerts, until it is told to stop."""

import asyncio
import signal

from app import beside, controller, jobs, lifeline, logs, services, settings, slots, watch
from app.errors import ConfigError, Fault
from app.services import Plan

FOLDERS = ("app", "features", "config")


def run(*, reload: bool, beside: bool) -> None:
    """Run one worker; with `reload` again at each change of a file, with `beside` until its input ends."""
    if beside:
        lifeline.hold()
    if reload:
        import watchfiles

        watchfiles.run_process(*FOLDERS, target=serve)
    else:
        serve()


def serve() -> None:
    """Read the plan and work."""
    asyncio.run(work(services.plan(settings.load())))


async def work(plan: Plan) -> None:
    """Take a slot and work until SIGTERM or Ctrl-C; jobs that run come to their end."""
    logs.configure(plan.settings)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: loop.call_soon_threadsafe(stop.set))
    loop = asyncio.get_running_loop()
    async with (
        services.start(plan) as held,
        slots.take(held.engine, plan.settings.var_dir) as slot,
        jobs.work(held, slot),
        asyncio.TaskGroup() as others,
    ):
        told = others.create_task(stop.wait())
        loops = slots.keep(slot), watch.run(held), controller.run(held), beside.run(held)
        tasks = told, *(others.create_task(one) for one in loops)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
    if told.cancelled():
        what = f"another worker has taken {slot.name}; start this one again"
        raise ConfigError([Fault(plan.settings.var_dir, "", what)])
