"""restic: encrypted backups on a disk or in S3, what is in them, and how long they stay."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Files in the folder of secrets; the last two become the variables after them.
OPENING = "app_backup_password"
S3_FILES = ("app_backup_s3_id", "app_backup_s3_secret")
S3_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
NEW = "Is there a repository at the following location?"
LOCKED = "already locked"
REMEDIES = {
    "wrong password or no key": "it was made with another APP_BACKUP_PASSWORD: put that one back",
    "no space left": "free space on the machine (docker system df), or keep fewer backups",
    "Access Denied": "give the role of APP_BACKUP_S3_ID its rights on the bucket (docs/backups.md)",
    "Access Key Id": "mend APP_BACKUP_S3_ID and APP_BACKUP_S3_SECRET",
    LOCKED: "another machine works in the repository: run this again later",
    NEW: "nothing was ever saved there, or `repository` in config/deploy.toml names another place",
    "no such host": "mend `repository` in config/deploy.toml",
}


class Refused(Exception):
    """It was not done, and nothing was changed; the message says why and what to do."""


@dataclass(frozen=True)
class Repository:
    """Where the backups are: a folder, or s3:https://host/bucket; `cache` and `secrets` are folders."""

    url: str
    cache: Path
    secrets: Path

    @property
    def on_disk(self) -> bool:
        """Whether it lies on this machine, and this machine may remove what is in it."""
        return not self.url.startswith("s3:")

    def environment(self) -> dict[str, str]:
        """What restic alone is told; raise Refused without a password."""
        password = self.secrets / OPENING
        if not password.is_file():
            raise Refused(f"no {password}: uv run ops secrets set STAGE {OPENING.upper()}, then deploy")
        keys = {name: self.secrets / file for name, file in zip(S3_VARIABLES, S3_FILES, strict=True)}
        return {
            "PATH": os.environ["PATH"], "HOME": str(self.cache), "TMPDIR": str(self.cache),
            "RESTIC_REPOSITORY": self.url, "RESTIC_PASSWORD_FILE": str(password),
            "RESTIC_CACHE_DIR": str(self.cache), "RESTIC_PROGRESS_FPS": "0",
            **{name: file.read_text("utf-8").strip() for name, file in keys.items() if file.is_file()},
        }  # fmt: skip

    def run(self, *words: str) -> str:
        """What restic prints; raise Refused with its last lines and the remedy."""
        command = ["restic", "--quiet", *(["--no-cache"] if self.on_disk else []), *words]
        self.cache.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            said = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-4:])
            remedy = next((told for sign, told in REMEDIES.items() if sign in said), "")
            raise Refused(f"restic {words[0]}: {said}{remedy and f'; {remedy}'}")
        return done.stdout

    def save(self, paths: list[Path], tags: list[str], without: list[str]) -> dict[str, Any]:
        """Make a snapshot, and the repository where there is none; a lock of the dead does not stop it."""
        words = [f"--exclude={pattern}" for pattern in without] + [f"--tag={tag}" for tag in tags]
        command = ["backup", "--json", *words, *map(str, paths)]
        try:
            said = self.run(*command)
        except Refused as error:
            if NEW in str(error):
                self.run("init")
            elif LOCKED in str(error):
                self.unlock()
            else:
                raise
            said = self.run(*command)
        return dict(json.loads(said.splitlines()[-1]))

    def snapshots(self) -> list[dict[str, Any]]:
        """All snapshots, the oldest first: id, time, tags."""
        found = json.loads(self.run("snapshots", "--json")) or []
        return [{"id": one["short_id"], "time": one["time"], "tags": one.get("tags") or []} for one in found]

    def find(self, which: str) -> dict[str, Any]:
        """The newest snapshot with this tag, or of this id; `latest` is the newest of all."""
        found = self.snapshots()
        for one in reversed(found):
            if which == "latest" or which in one["tags"] or one["id"] == which[:8]:
                return dict(one)
        known = ", ".join(f"{one['id']} {one['tags'][-1]}" for one in reversed(found[-10:])) or "none"
        raise Refused(f"no snapshot '{which}' (the newest: {known})")

    def fetch(self, name: str, target: Path) -> None:
        """Write what a snapshot holds below a folder, and read it again to be sure."""
        self.run("restore", name, "--target", str(target), "--verify")

    def forget(self, daily: int, weekly: int, monthly: int) -> None:
        """Keep all of the last `daily` days, then one a week and one a month; frees the space."""
        kept = {"within": f"{daily}d", "daily": daily, "weekly": weekly, "monthly": monthly}
        words = [f"--keep-{name}={value}" for name, value in kept.items()]
        self.run("forget", "--group-by", "", "--prune", *words)

    def check(self) -> None:
        """Raise Refused unless all that it holds fits together; on disk every byte is read."""
        self.run("check", *(["--read-data"] if self.on_disk else ["--no-lock"]))

    def unlock(self) -> None:
        """Take away what a killed restic left; on disk nobody else is at work, since we hold the volume."""
        self.run("unlock", *(["--remove-all"] if self.on_disk else []))
