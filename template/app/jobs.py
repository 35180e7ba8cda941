"""Answers that a worker makes: those asked for later, and those whose process died. DBOS keeps the queue."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from dbos import DBOS, SetEnqueueOptions, SetWorkflowID  # two seconds: the worker alone imports this
from sqlalchemy import Engine, create_engine, event

from app import db, pipeline, problems, results, slots
from app.access import Caller
from app.ask import Ask
from app.db import Result
from app.errors import AppError, Invalid, Unavailable
from app.row import Row
from app.services import Services
from app.settings import Settings
from app.slots import Slot

log = logging.getLogger(__name__)
QUEUE = "answers"
POLL_S = 0.2
AGAIN_S, PUT_BACK_S = 1, 5
TIDY_EVERY_S = 60
ADOPT_EVERY_S = 5
# Raised when a job that waits could no longer be understood by a new version of this module.
VERSION = "1"
ALIVE = ["ENQUEUED", "DELAYED", "PENDING"]
ENDED = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]
Job = Callable[[str], Coroutine[Any, Any, None]]


@asynccontextmanager
async def work(services: Services, slot: Slot) -> AsyncIterator[None]:
    """Take jobs and run them until the block ends; then let those that run come to their end."""
    config = services.plan.settings
    DBOS(
        config={
            "name": "app", "system_database_engine": queue_engine(config), "executor_id": slot.name,
            "application_version": VERSION, "log_level": "ERROR",
        }
    )  # fmt: skip
    job = DBOS.workflow(name="answer")(DBOS.step(name="run")(runner(services)))
    DBOS.launch()
    await DBOS.register_queue_async(
        QUEUE, worker_concurrency=config.job_slots, partition_worker_concurrency=config.tenant_job_slots,
        polling_interval_sec=POLL_S, on_conflict="always_update",
    )  # fmt: skip
    tasks = [asyncio.create_task(feed(services, job)), asyncio.create_task(adopt(services, slot))]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(DBOS.destroy, workflow_completion_timeout_sec=30)


def runner(services: Services) -> Job:
    """The one kind of job."""

    async def run(name: str) -> None:
        while not await delivered(services, name):
            log.warning("a job waits for the database", extra={"id": name})
            await asyncio.sleep(AGAIN_S)

    return run


async def delivered(services: Services, name: str) -> bool:
    """Whether the database was there; while something else is away, a job waits again and holds up nobody."""
    try:
        with db.reached():
            await deliver(services, name)
    except Unavailable:
        return False
    return True


async def deliver(services: Services, name: str) -> None:
    """Answer a kept request, or put it back; done twice, the first answer and the first usage row stay."""
    found = await results.load(services.engine, name)
    if found is None or found.body is not None:
        return
    error: Exception = AppError()
    try:
        await pipeline.answer(services, asked(services, found))
    except Unavailable:
        await results.put_back(services.engine, name, PUT_BACK_S)
        return
    except Exception as fault:  # a refusal is a result too, and so is a fault: somebody waits for an end
        error = fault
    await services.recorder.flush()
    await settle(services, name, error)


def asked(services: Services, found: Result) -> Ask:
    """The request again; raise Invalid where its feature is gone or takes other input now."""
    try:
        feature = services.plan.features[found.feature]
        given = feature.Input.model_validate(found.given)
    except (KeyError, ValueError) as error:
        raise Invalid(f"feature '{found.feature}' is gone or takes other input now; ask again") from error
    who, said = Caller(found.tenant_id), found.conversation_id
    return Ask(feature, given, caller=who, user=found.user_id, conversation=said, durable=True, id=found.id)


async def settle(services: Services, name: str, error: Exception) -> None:
    """See that a job has a result and a usage row: where it left none, they say why."""
    left = await results.load(services.engine, name)
    if left is None or left.body is not None:
        return
    fault = type(error).__name__
    log.error("a job left no answer", extra={"id": name, "feature": left.feature, "fault": fault})
    said = error if isinstance(error, AppError) else AppError()
    row = Row(name, left.feature, tenant_id=left.tenant_id, user_id=left.user_id, outcome=said.code)
    body = problems.describe(said, name)
    services.recorder.save(row, results.new(row, left.given, left.conversation_id, 0, "failed", body))
    await services.recorder.flush()


async def feed(services: Services, job: Job) -> None:
    """Hand what waits to the queue, end what it lost, and forget what has expired, for ever."""
    tidy_s = time.monotonic()
    while True:
        try:
            await hand_over(services, job)
            if time.monotonic() >= tidy_s:
                tidy_s = time.monotonic() + TIDY_EVERY_S
                await end_lost(services)
                await results.forget(services.engine)
                await prune()
        except Exception as error:  # the loop must outlive a database that restarts
            log.warning("the worker waits for the database", extra={"fault": type(error).__name__})
            await asyncio.sleep(1)
        await asyncio.sleep(POLL_S)


async def adopt(services: Services, slot: Slot) -> None:
    """Take over the jobs of workers that were dead at two looks: one whose database restarted is not."""
    before: set[str] = set()
    while True:
        found: set[str] = set()
        try:
            async for name in slots.dead(services.engine, services.plan.settings.var_dir, slot.name):
                found.add(name)
                if name in before:
                    await asyncio.to_thread(DBOS._recover_pending_workflows, [name])
        except Exception as error:  # the loop must outlive a database that restarts
            log.warning("jobs of dead workers wait", extra={"fault": type(error).__name__})
        before = found
        await asyncio.sleep(ADOPT_EVERY_S)


async def hand_over(services: Services, job: Job) -> None:
    """Put waiting results into the queue, a part of it for each tenant; the same id is never queued twice."""
    found = await results.due(services.engine, limit=100)
    for item in found:
        # The same try has the same id; what waits anew, or is asked anew under an old name, is another try.
        tried = f"{item.id}-{item.lease_until or item.created_at:%Y%m%d%H%M%S%f}"
        with SetWorkflowID(tried), SetEnqueueOptions(queue_partition_key=item.tenant_id or "-"):
            await DBOS.enqueue_workflow_async(QUEUE, job, item.id)
    if found:
        await results.queued(services.engine, [item.id for item in found])


async def end_lost(services: Services) -> None:
    """Say of jobs that the queue gave up, or has not any more, that they failed."""
    if not (names := await results.overdue(services.engine, timedelta(seconds=TIDY_EVERY_S), limit=100)):
        return
    alive = await tries(workflow_id_prefix=[f"{name}-" for name in names], status=ALIVE)
    for name in set(names) - {tried.rpartition("-")[0] for tried in alive}:
        await settle(services, name, AppError())


async def prune() -> None:
    """Take what has ended a while ago out of the queue's tables."""
    until = (db.now() - timedelta(seconds=TIDY_EVERY_S)).isoformat()
    if ended := await tries(status=ENDED, completed_before=until, limit=1_000):
        await DBOS.delete_workflows_async(ended)


async def tries(**which: Any) -> list[str]:
    """The queue's ids of what it has of this kind."""
    found = await DBOS.list_workflows_async(load_input=False, load_output=False, **which)
    return [job.workflow_id for job in found]


def queue_engine(config: Settings) -> Engine:
    """The queue lies beside the app's own data; with SQLite it is a file of its own.

    Without these pragmas SQLite lets a worker and the queue lock each other out.
    """
    if not config.database_url.startswith("sqlite"):
        return create_engine(config.database_url, pool_size=10, pool_pre_ping=True)
    config.var_dir.mkdir(parents=True, exist_ok=True)
    engine = create_engine(f"sqlite:///{(config.var_dir / 'jobs.db').as_posix()}", pool_size=10)

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        for pragma in ("busy_timeout=30000", "journal_mode=wal", "synchronous=normal", "foreign_keys=on"):
            connection.execute(f"pragma {pragma}")
        if sqlite3.sqlite_version_info < (3, 42):  # DBOS asks for 'subsec', which came with 3.42
            connection.create_function("unixepoch", 1, lambda _: time.time())

    return engine
