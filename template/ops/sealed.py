"""Files that age encrypts for several people: whose key opens them, and who can read them.

The `age` command reads and writes the same files: age --encrypt --armor -R secrets/recipients.txt
"""

import os
from pathlib import Path

import pyrage

from app import files
from ops.errors import NotReady

RECIPIENTS = Path("secrets/recipients.txt")


def key_file() -> Path:
    """Where this person's private key is: AGE_KEY_FILE, or a file in the home folder."""
    return Path(os.environ.get("AGE_KEY_FILE") or Path.home() / ".config/age/key.txt")


def own_key() -> str:
    """The public half of this person's private key, which is made where there is none."""
    place = key_file()
    if not place.exists() and not os.environ.get("AGE_KEY"):
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        keep(place, f"{pyrage.x25519.Identity.generate()}\n".encode(), 0o600)
    for one in identities():
        if isinstance(one, pyrage.x25519.Identity):
            return str(one.to_public())
    remedy = "uv run ops secrets recipients --add 'ssh-ed25519 ...' --who NAME"
    raise NotReady(f"{place} holds an ssh key, whose public half you must name: {remedy}")


def keep(place: Path, content: bytes, mode: int) -> None:
    """Write a file that is not there yet, and that nobody else could read for a moment."""
    with os.fdopen(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as out:
        out.write(content)


def identities() -> list[object]:
    """The private keys of AGE_KEY or the key file; raise NotReady where there are none."""
    given = os.environ.get("AGE_KEY") or (key_file().read_text("utf-8") if key_file().exists() else "")
    lines = [line.strip() for line in given.splitlines() if line.startswith("AGE-SECRET-KEY-")]
    try:
        if "PRIVATE KEY" in given:
            return [pyrage.ssh.Identity.from_buffer(given.encode())]
        found: list[object] = [pyrage.x25519.Identity.from_str(line) for line in lines]
    except pyrage.IdentityError as error:
        raise NotReady(f"the key in AGE_KEY or {key_file()} cannot be used: {error}") from None
    if not found:
        raise NotReady(f"no age key in AGE_KEY or {key_file()}: uv run ops secrets init")
    return found


def recipients() -> dict[str, str]:
    """Whom the files are encrypted for: public key -> who that is, which stands in the line above it."""
    found, who = {}, ""
    for line in RECIPIENTS.read_text("utf-8").splitlines() if RECIPIENTS.exists() else []:
        if line.startswith("#"):
            who = line.removeprefix("#").strip()
        elif line.strip():
            found[line.strip()] = who
    return found


def write_recipients(found: dict[str, str]) -> None:
    """Write who can read."""
    files.write_atomic(RECIPIENTS, "".join(f"# {who}\n{key}\n" for key, who in found.items()))


def parsed(public: str) -> object:
    """A public key, of age or ssh; raise NotReady for anything else."""
    kind = pyrage.x25519 if public.startswith("age1") else pyrage.ssh
    try:
        found: object = kind.Recipient.from_str(public)
    except pyrage.RecipientError as error:
        what = "is no public key of age (age1...) or ssh (ssh-ed25519 ...)"
        raise NotReady(f"'{public[:40]}' {what}") from error
    return found


def read(path: Path) -> str:
    """The plain text of a file; empty where there is none yet."""
    if not path.exists():
        return ""
    try:
        text: str = pyrage.decrypt(path.read_bytes(), identities()).decode()
    except (pyrage.DecryptError, UnicodeDecodeError) as error:
        remedy = "ask one of the recipients to add your public key, then pull"
        raise NotReady(f"{path.as_posix()}: cannot be read with your key ({error}); {remedy}") from error
    return text


def write(path: Path, text: str) -> None:
    """Encrypt a text for all recipients."""
    keys = [parsed(public) for public in recipients()]
    if not keys:
        raise NotReady(f"{RECIPIENTS.as_posix()} names nobody: uv run ops secrets init")
    files.write_atomic(path, pyrage.encrypt(text.encode(), keys, armored=True).decode())
