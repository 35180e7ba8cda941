"""A prompt is a file: instructions above a line of three dashes, the user's text below it."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from app.errors import ConfigError, Fault

LINE = re.compile(r"^---\s*$", re.MULTILINE)
TAG = re.compile(r"</?([a-z_]+)[\s>]")


@dataclass(frozen=True)
class Rendered:
    """What a model is sent."""

    system: str
    user: str


@dataclass(frozen=True)
class Prompt:
    """One released version of a prompt. The digest names its exact text."""

    version: str
    system: str
    user: Template
    digest: str

    def render(self, values: dict[str, str]) -> Rendered:
        """Fill the user part; a value cannot close or open the tags that delimit it."""
        tags = "|".join(sorted(set(TAG.findall(self.user.template)) | {"passage"}))
        safe = {
            name: value
            if name == "passages"
            else re.sub(rf"<(?=\s*/?\s*(?:{tags})\b)", "&lt;", value, flags=re.IGNORECASE)
            for name, value in values.items()
        }
        return Rendered(self.system, self.user.substitute(safe))


def read(path: Path) -> Prompt:
    """Read one prompt file; raise ConfigError when it has no user part or a stray `$`."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(path, "", f"not UTF-8 at byte {error.start}")]) from error
    parts = LINE.split(text, maxsplit=1)
    if len(parts) != 2 or not parts[0].strip() or not parts[1].strip():
        fault = "needs the instructions, a line of three dashes, then the user's part"
        raise ConfigError([Fault(path, "", fault)])
    system, user = parts[0].strip(), Template(parts[1].strip())
    if not user.is_valid():
        raise ConfigError([Fault(path, "", "has a stray '$'; write '$$' for a dollar sign")])
    return Prompt(path.stem, system, user, hashlib.sha256(text.encode()).hexdigest()[:12])


def faults(path: Path, prompt: Prompt, fields: set[str], required: set[str]) -> list[Fault]:
    """What is wrong with the placeholders: unknown ones, missing ones, any above the line."""
    used = set(prompt.user.get_identifiers())
    known = ", ".join(f"${name}" for name in sorted(fields)) or "none"
    # The caller's text in the instructions would speak with our voice: that is prompt injection.
    above = {name for name in fields if re.search(rf"\$\{{?{name}\b", prompt.system)}
    wrong = {
        f"has no value (known: {known}; '$$' writes a dollar sign)": used - fields,
        "is never used; the model would not see it": required - used,
        "stands above the line; the caller's text belongs below it": above,
    }
    return [Fault(path, f"${name}", what) for what, names in wrong.items() for name in sorted(names)]
