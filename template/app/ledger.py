"""The tables of releases: changes of the flags, trials and their steps, shadow answers, incidents."""

from datetime import datetime

from sqlalchemy import JSON, DateTime, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, Json, now


class FlagRevision(Base):
    """What was changed of the flags, whole; the newest one holds, the others say who changed what and why."""

    __tablename__ = "flag_revision"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    actor: Mapped[str]
    reason: Mapped[str]
    document: Mapped[Json] = mapped_column(JSON)


class Trial(Base):
    """A candidate beside what is stable: a rollout, or an experiment. One of a feature is open."""

    __tablename__ = "trial"
    __table_args__ = (
        Index("trial_open", "feature", unique=True,
              sqlite_where=text("ended_at is null"), postgresql_where=text("ended_at is null")),
    )  # fmt: skip
    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]  # rollout or experiment
    feature: Mapped[str]
    arms: Mapped[dict[str, str]] = mapped_column(JSON)  # releases by arm; "" is stable
    rule: Mapped[Json] = mapped_column(JSON)
    state: Mapped[str]  # shadow, canary, done, rolled-back or stopped
    percent: Mapped[int]
    said: Mapped[str]
    actor: Mapped[str]
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    stepped_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    ended_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


class TrialEvent(Base):
    """One step of a trial: who or what took it, the reason in words, and the numbers behind it."""

    __tablename__ = "trial_event"
    id: Mapped[str] = mapped_column(primary_key=True)
    trial_id: Mapped[str] = mapped_column(ForeignKey("trial.id"), index=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now)
    actor: Mapped[str]
    what: Mapped[str]
    said: Mapped[str]
    seen: Mapped[list[str]] = mapped_column(JSON)


class Shadow(Base):
    """A request that a candidate is asked too: what both answered, redacted, and what each took."""

    __tablename__ = "shadow"
    id: Mapped[str] = mapped_column(primary_key=True)  # of the request
    trial_id: Mapped[str] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(index=True)  # waiting, done or dropped
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=now, index=True)
    tenant_id: Mapped[str]
    user_id: Mapped[str]
    given: Mapped[Json | None] = mapped_column(JSON)  # gone once it is done
    stable: Mapped[Json] = mapped_column(JSON)
    candidate: Mapped[Json | None] = mapped_column(JSON)
    tokens: Mapped[int] = mapped_column(default=0)


class Incident(Base):
    """A promise that broke: since when, when it was seen, when it was over, and requests that show it."""

    __tablename__ = "incident"
    id: Mapped[str] = mapped_column(primary_key=True)
    feature: Mapped[str]
    cause: Mapped[str]  # the trial that was rolled back, or the alert
    said: Mapped[str]
    began_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    detected_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), index=True)
    restored_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    cases: Mapped[list[Json]] = mapped_column(JSON)  # id, fault, and the redacted input where it is kept
