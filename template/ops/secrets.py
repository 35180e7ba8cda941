"""The secrets of each stage: dotenv files that age encrypts for several people, committed in secrets/.

Values go to a command's environment or to files that only their owner reads, never to a command line.
"""

import io
import os
import re
import secrets
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dotenv import set_key
from dotenv.parser import parse_stream

from app import files, models, settings
from ops import sealed, stages
from ops.errors import NotReady

FOLDER = Path("secrets")
SUFFIX = ".env.age"
NAME = re.compile(r"APP_[A-Z][A-Z0-9_]*")
# The app needs them in every stage, and nobody has to choose them.
PEPPER, METRICS, BACKUPS = "APP_PEPPER", "APP_METRICS_KEY", "APP_BACKUP_PASSWORD"


def init(who: str) -> str:
    """Let this person's key read the secrets; raise NotReady with what to send to somebody who can."""
    public = sealed.own_key()
    if public not in sealed.recipients():
        try:
            add_recipient(public, who)
        except NotReady as error:
            remedy = f"uv run ops secrets recipients --add {public} --who {who}"
            raise NotReady(f"your new key reads nothing yet; a recipient must let it in: {remedy}") from error
    return public


def add_recipient(public: str, who: str) -> None:
    """Let one more person read every stage; raise NotReady for what is no public key."""
    sealed.parsed(public)
    save({**sealed.recipients(), public: who})


def remove_recipient(who: str) -> list[str]:
    """Encrypt without a person; returns what that person has read and somebody must change at its source."""
    known = sealed.recipients()
    left = {key: name for key, name in known.items() if who not in (key, name)}
    if len(left) == len(known):
        raise NotReady(f"{sealed.RECIPIENTS.as_posix()} names no '{who}' ({', '.join(known.values())})")
    if not left:
        raise NotReady("nobody would be left who can read the secrets: add the next one first")
    save(left)
    return names()


def rotate() -> list[str]:
    """Encrypt every stage anew for the present recipients; returns the names of all values."""
    save(sealed.recipients())
    return names()


def save(found: dict[str, str]) -> None:
    """Write the recipients, and encrypt every stage for them; nothing is written that cannot be read."""
    texts = {path(stage): sealed.read(path(stage)) for stage in kept()}
    sealed.write_recipients(found)
    for place, text in texts.items():
        sealed.write(place, text)


def names() -> list[str]:
    """STAGE: NAME of every value."""
    return [f"{stage}: {name}" for stage in kept() for name in values(stage)]


def kept() -> list[str]:
    """The stages that have secrets."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def values(stage: str) -> dict[str, str]:
    """The values of a stage by name; raise NotReady where it has none or they cannot be read."""
    if not path(stage).exists():
        known = ", ".join(kept()) or "none"
        raise NotReady(
            f"stage '{stage}' has no secrets (known: {known}): uv run ops secrets set {stage} NAME"
        )
    return checked(stage, sealed.read(path(stage)))


def checked(stage: str, text: str) -> dict[str, str]:
    """The values that a text holds; raise NotReady for what no setting can be."""
    found: dict[str, str] = {}
    for one in parse_stream(io.StringIO(text)):
        if one.error or (one.key and (one.value is None or not NAME.fullmatch(one.key))):
            raise NotReady(f"{stage}: line {one.original.line} is no APP_<SETTING>=value, in capitals")
        if one.key:
            found[one.key] = one.value or ""
    return found


def faults(stage: str) -> list[str]:
    """What the app would refuse of a stage or never read, and the remedy."""
    return [f"{name}: {said}" for name, value in values(stage).items() if (said := fault(stage, name, value))]


def fault(stage: str, name: str, value: str) -> str:
    """Why the app cannot use a value; empty where it can."""
    if not settings.is_setting(name):
        return f"is no setting{files.meant(name, settings.variables())}; uv run ops secrets edit {stage}"
    said = settings.lacks(name, value)
    return f"{said}; uv run ops secrets set {stage} {name}" if said else ""


def required(stage: str) -> list[str]:
    """The names that a stage must have: a canary is judged by /metrics, and each model needs its key."""
    metrics = [METRICS] if stages.load(stage).canary.steps else []
    keys = {model.key for model in models.load(settings.load().config_dir).models.values() if model.key}
    return [PEPPER, BACKUPS, *metrics, *sorted(f"APP_KEYS__{key.upper()}" for key in keys)]


def missing(stage: str) -> list[str]:
    """Each required name that a stage lacks, and the command that sets it."""
    present = checked(stage, sealed.read(path(stage)))
    lacking = [name for name in required(stage) if name not in present]
    made = dict.fromkeys((PEPPER, BACKUPS, METRICS), " --generate")
    return [f"{name}: uv run ops secrets set {stage} {name}{made.get(name, '')}" for name in lacking]


def bundle(stage: str) -> dict[str, bytes]:
    """The files of /run/secrets by name; raise NotReady with each value that the app cannot use."""
    if found := faults(stage):
        raise NotReady("\n".join(f"{path(stage).as_posix()}: {said}" for said in found))
    return {name.lower(): value.encode() for name, value in values(stage).items()}


def put(stage: str, name: str, value: str) -> None:
    """Set one value, comments and order stay; raise NotReady for one that the app cannot use."""
    if said := fault(stage, name, value):
        raise NotReady(f"{name}: {said}")
    with private(sealed.read(path(stage))) as place:
        set_key(place, name, value)
        text = place.read_text("utf-8")
    checked(stage, text)
    sealed.write(path(stage), text)


def generate(stage: str, name: str) -> None:
    """Set 32 random bytes in hex. What is there stays: a new pepper would end every API key."""
    if name in checked(stage, sealed.read(path(stage))):
        raise NotReady(f"{stage} has {name}; for a new one, remove it first: uv run ops secrets edit {stage}")
    put(stage, name, secrets.token_hex(32))


def edit(stage: str) -> None:
    """Open a stage in $EDITOR; what it holds wrongly afterwards is refused, and the file stays as it was."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with private(sealed.read(path(stage))) as place:
        if started([*editor, str(place)], {}):
            raise NotReady(f"{editor[0]} failed; nothing was changed")
        text = place.read_text("utf-8")
    checked(stage, text)
    sealed.write(path(stage), text)


@contextmanager
def private(text: str) -> Iterator[Path]:
    """A file with this text that nobody else reads, in memory where the machine can; gone afterwards."""
    memory = Path("/dev/shm")  # noqa: S108  # a folder of our own in it, mode 0700
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        place = Path(folder, "secrets.env")
        place.touch(0o600)
        place.write_text(text, "utf-8")
        yield place


def run(stage: str, command: list[str]) -> int:
    """Run a command with the values in its environment; returns its exit code."""
    return started(command, values(stage))


def started(command: list[str], more: dict[str, str]) -> int:
    """Run a program to its end, without the private key; raise NotReady where it cannot be started."""
    mine = {name: value for name, value in os.environ.items() if name != "AGE_KEY"}
    try:
        return subprocess.run(command, env={**mine, **more}, check=False).returncode
    except OSError as error:
        raise NotReady(f"{command[0]} cannot be started: {error.strerror}") from error


def export(stage: str, folder: Path) -> int:
    """Write each value to a file of its own that its owner alone reads, as /run/secrets has them."""
    found = bundle(stage)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, value in found.items():
        (folder / name).unlink(missing_ok=True)
        sealed.keep(folder / name, value, 0o400)
    return len(found)


def path(stage: str) -> Path:
    """The file of a stage."""
    if not re.fullmatch("[a-z][a-z0-9-]*", stage):
        raise NotReady(f"'{stage}' is no name of a stage: small letters, digits and dashes")
    return FOLDER / f"{stage}{SUFFIX}"
