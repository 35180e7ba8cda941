"""The secrets of each stage: dotenv files that age encrypts for several people, committed in secrets/.

The `age` command reads and writes the same files. Values go to a command's environment or to files that only
their owner reads, never to a command line.
"""

import io
import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyrage
from dotenv import set_key
from dotenv.parser import parse_stream

from app import files
from ops.errors import NotReady

FOLDER = Path("secrets")
RECIPIENTS = FOLDER / "recipients.txt"
SUFFIX = ".env.age"
NAME = re.compile(r"APP_[A-Z][A-Z0-9_]*")
# What stands in an example and is no secret; a deploy refuses it.
PLACEHOLDER = re.compile(r"|change.?me|todo|x{3,}|<.*>|your.*|placeholder|example", re.I)
Identity = pyrage.x25519.Identity | pyrage.ssh.Identity
Recipient = pyrage.x25519.Recipient | pyrage.ssh.Recipient


def key_file() -> Path:
    """Where this person's private key is: AGE_KEY_FILE, or a file in the home folder."""
    return Path(os.environ.get("AGE_KEY_FILE") or Path.home() / ".config/age/key.txt")


def init(who: str) -> str:
    """Make a private key where there is none, and let its public half read; returns the public half."""
    place = key_file()
    if not place.exists() and not os.environ.get("AGE_KEY"):
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        keep(place, f"{pyrage.x25519.Identity.generate()}\n", 0o600)
    mine = next((one for one in identities() if isinstance(one, pyrage.x25519.Identity)), None)
    if mine is None:
        raise NotReady(
            f"{place} holds no age key: name an ssh key's public half with: ops secrets recipients"
        )
    public = str(mine.to_public())
    if public not in recipients():
        add_recipient(public, who)
    return public


def identities() -> list[Identity]:
    """The private keys of AGE_KEY or the key file; raise NotReady where there are none."""
    given = os.environ.get("AGE_KEY") or (key_file().read_text("utf-8") if key_file().exists() else "")
    if "PRIVATE KEY" in given:
        return [pyrage.ssh.Identity.from_buffer(given.encode())]
    lines = [line.strip() for line in given.splitlines() if line.startswith("AGE-SECRET-KEY-")]
    if not lines:
        raise NotReady(f"no age key in AGE_KEY or {key_file()}: uv run ops secrets init")
    return [pyrage.x25519.Identity.from_str(line) for line in lines]


def recipients() -> dict[str, str]:
    """Whom the files are encrypted for: public key -> who that is."""
    text = RECIPIENTS.read_text("utf-8") if RECIPIENTS.exists() else ""
    pairs = [line.partition("#")[::2] for line in text.splitlines()]
    return {key.strip(): who.strip() for key, who in pairs if key.strip()}


def add_recipient(public: str, who: str) -> None:
    """Let one more person read every stage; raise NotReady for what is no public key."""
    parsed(public)
    save({**recipients(), public: who})


def remove_recipient(who: str) -> list[str]:
    """Encrypt without a person; returns what that person has read and somebody must change at its source."""
    left = {key: name for key, name in recipients().items() if who not in (key, name)}
    if len(left) == len(recipients()):
        raise NotReady(f"{RECIPIENTS.as_posix()} names no '{who}' ({', '.join(recipients().values())})")
    if not left:
        raise NotReady("nobody would be left who can read the secrets: add the next one first")
    save(left)
    return names()


def save(found: dict[str, str]) -> None:
    """Write the recipients, and encrypt every stage for them; nothing is written that cannot be read."""
    texts = {stage: read(stage) for stage in stages()}
    files.write_atomic(RECIPIENTS, "".join(f"{key}  # {who}\n" for key, who in found.items()))
    for stage, text in texts.items():
        write(stage, text)


def rotate() -> list[str]:
    """Encrypt every stage anew for the present recipients; returns the names of all values."""
    save(recipients())
    return names()


def names() -> list[str]:
    """STAGE: NAME of every value."""
    return [f"{stage}: {name}" for stage in stages() for name in values(stage)]


def stages() -> list[str]:
    """The stages that have secrets."""
    return sorted(path.name.removesuffix(SUFFIX) for path in FOLDER.glob(f"*{SUFFIX}"))


def values(stage: str) -> dict[str, str]:
    """The values of a stage by name; raise NotReady where it has none or they cannot be read."""
    if not path(stage).exists():
        known = ", ".join(stages()) or "none"
        raise NotReady(
            f"stage '{stage}' has no secrets (known: {known}): uv run ops secrets set {stage} NAME"
        )
    return checked(stage, read(stage))


def checked(stage: str, text: str) -> dict[str, str]:
    """The values that a text holds; raise NotReady for what no setting can be."""
    found: dict[str, str] = {}
    for one in parse_stream(io.StringIO(text)):
        if one.error or (one.key and (one.value is None or not NAME.fullmatch(one.key))):
            raise NotReady(f"{stage}: line {one.original.line} is no APP_<SETTING>=value, in capitals")
        if one.key:
            found[one.key] = one.value or ""
    return found


def placeholders(stage: str) -> list[str]:
    """The names whose values are not real ones."""
    return [name for name, value in values(stage).items() if PLACEHOLDER.fullmatch(value.strip())]


def put(stage: str, name: str, value: str) -> None:
    """Set one value; comments and order stay."""
    with private(read(stage)) as place:
        set_key(place, name, value)
        text = place.read_text("utf-8")
    checked(stage, text)
    write(stage, text)


def edit(stage: str) -> None:
    """Open a stage in $EDITOR; what it holds wrongly afterwards is refused, and the file stays as it was."""
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with private(read(stage)) as place:
        if subprocess.run([*editor, str(place)], check=False).returncode:
            raise NotReady(f"{editor[0]} failed; nothing was changed")
        text = place.read_text("utf-8")
    checked(stage, text)
    write(stage, text)


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
    return subprocess.run(command, env={**os.environ, **values(stage)}, check=False).returncode


def export(stage: str, folder: Path) -> int:
    """Write each value to a file of its own that its owner alone reads, as `secrets_dir` wants them."""
    found = values(stage)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, value in found.items():
        place = folder / name.lower()
        place.unlink(missing_ok=True)
        keep(place, value, 0o400)
    return len(found)


def keep(place: Path, text: str, mode: int) -> None:
    """Write a file that is not there yet, and that nobody else could read for a moment."""
    with os.fdopen(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "w", encoding="utf-8") as out:
        out.write(text)


def path(stage: str) -> Path:
    """The file of a stage."""
    if not re.fullmatch("[a-z][a-z0-9-]*", stage):
        raise NotReady(f"'{stage}' is no name of a stage: small letters, digits and dashes")
    return FOLDER / f"{stage}{SUFFIX}"


def read(stage: str) -> str:
    """The plain text of a stage; empty where it has none yet."""
    if not path(stage).exists():
        return ""
    try:
        return pyrage.decrypt(path(stage).read_bytes(), identities()).decode()
    except (pyrage.DecryptError, UnicodeDecodeError) as error:
        remedy = "ask one of the recipients to add your public key, then pull"
        raise NotReady(
            f"{path(stage).as_posix()}: cannot be read with your key ({error}); {remedy}"
        ) from error


def write(stage: str, text: str) -> None:
    """Encrypt a stage for all recipients."""
    keys = [parsed(public) for public in recipients()]
    if not keys:
        raise NotReady(f"{RECIPIENTS.as_posix()} names nobody: uv run ops secrets init")
    files.write_atomic(path(stage), pyrage.encrypt(text.encode(), keys, armored=True).decode())


def parsed(public: str) -> Recipient:
    """A public key, of age or ssh; raise NotReady for anything else."""
    kind = pyrage.x25519 if public.startswith("age1") else pyrage.ssh
    try:
        return kind.Recipient.from_str(public)
    except pyrage.RecipientError as error:
        raise NotReady(
            f"'{public[:40]}' is no public key of age (age1...) or ssh (ssh-ed25519 ...)"
        ) from error
