"""Tell people of alerts, by webhook and by e-mail; what fails is tried again at the next look."""

import asyncio
import logging
import smtplib
import ssl
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from functools import partial
from urllib.parse import unquote, urlsplit

import httpx2
from sqlalchemy.ext.asyncio import AsyncEngine

from app import alerts
from app.alerts import Hook
from app.db import Alert
from app.settings import Settings

log = logging.getLogger(__name__)
TIMEOUT_S = 10
FAULTS = (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError)
LOOPBACK = ("127.0.0.1", "::1", "localhost")
Told = dict[str, str]


async def send(engine: AsyncEngine, config: Settings, now: datetime) -> None:
    """Send by each hook that is set up what it has not sent: in order, at least once, from a thread."""
    hooks: dict[Hook, Callable[[Settings, Told], None]] = {}
    if config.alert_webhook.get_secret_value():
        hooks["notified_at"] = post
    if config.alert_email and config.smtp_url.get_secret_value():
        hooks["mailed_at"] = mail
    for hook, tell in hooks.items():
        for alert in await alerts.untold(engine, hook, now):
            try:
                await asyncio.to_thread(tell, config, message(alert))
            except FAULTS as error:
                said = {"hook": tell.__name__, "fault": type(error).__name__}  # its text may hold a secret
                log.warning("an alert waits for its hook", extra=said)
                if not isinstance(error, httpx2.HTTPStatusError):
                    break  # it is away: the others need not wait for it too
            else:
                await alerts.told(engine, alert, hook, now)


def message(alert: Alert) -> Told:
    """An alert for programs; `text` is what chats show."""
    state = alerts.NEWS if alert.severity == alerts.NEWS else "resolved" if alert.resolved_at else "open"
    mark = state if state == alerts.NEWS else f"{alert.severity}, {state}"
    title = f"[{mark}] {alert.subject} {alert.name}"
    return {
        "id": alert.id, "name": alert.name, "subject": alert.subject, "severity": alert.severity,
        "state": state, "said": alert.said, "at": alerts.when(alert.at),
        "title": title, "text": f"{title}: {alert.said}",
    }  # fmt: skip


def post(config: Settings, told: Told) -> None:
    """Send an alert as JSON."""
    httpx2.post(config.alert_webhook.get_secret_value(), json=told, timeout=TIMEOUT_S).raise_for_status()


def mail(config: Settings, told: Told) -> None:
    """Hand an alert to the mail server; a password leaves this machine over TLS alone."""
    place, tls = urlsplit(config.smtp_url.get_secret_value()), ssl.create_default_context()
    host, port, user = place.hostname or "", place.port or 0, unquote(place.username or "")
    to, letter = config.alert_email, EmailMessage()
    letter["From"], letter["To"], letter["Subject"] = user if "@" in user else to, to, told["title"]
    letter.set_content("\n".join(f"{name}: {value}" for name, value in told.items()))
    encrypted = place.scheme == "smtps"
    connect = partial(smtplib.SMTP_SSL, context=tls) if encrypted else smtplib.SMTP
    with connect(host, port, timeout=TIMEOUT_S) as server:
        if user and not encrypted and host not in LOOPBACK:
            server.starttls(context=tls)
        if user:
            server.login(user, unquote(place.password or ""))
        server.send_message(letter)
