"""Personal data and secrets by their form and check digits; names and addresses need a model that reads."""

import re
from collections.abc import Callable
from typing import Any


def luhn(number: str) -> bool:
    """The check digit of payment cards (ISO/IEC 7812-1, annex B)."""
    digits = [int(d) for d in number if d.isdigit()]
    doubled = [sum(divmod(2 * d, 10)) for d in digits[-2::-2]]
    return 13 <= len(digits) <= 19 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def iban(text: str) -> bool:
    """The check digits of an account number (ISO 13616, mod 97)."""
    flat = re.sub(r"\s", "", text).upper()
    moved = flat[4:] + flat[:4]
    return 15 <= len(flat) <= 34 and int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def dni(text: str) -> bool:
    """The letter of a Spanish identity number, DNI or NIE (mod 23)."""
    flat = text.upper().replace("-", "")
    number = int(flat[:-1].translate(str.maketrans("XYZ", "012")))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == flat[-1]


def always(_: str) -> bool:
    """For kinds whose form is proof enough."""
    return True


# In this order: a key or a card must not be taken for a phone number.
KINDS: dict[str, tuple[re.Pattern[str], Callable[[str], bool]]] = {
    "secret": (
        re.compile(
            r"\b(?:sk-(?:proj-|ant-)?[\w-]{16,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|gh[pousr]_\w{30,}|hf_\w{20,}|"
            r"xox[abp]-[\w-]{10,}|(?:sk|rk|whsec)_(?:live|test)_\w{16,}|sw_[\w-]{20,})"
        ),
        always,
    ),
    "email": (re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+\b"), always),
    "iban": (
        re.compile(r"\b[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){2,7}(?:\s?(?!BIC\b|EUR\b)[A-Z0-9]{1,3})?\b"),
        iban,
    ),
    "card": (re.compile(r"\b(?:(?:\d{4}[\s-]?){3}\d{1,7}|3\d{3}[\s-]?\d{6}[\s-]?\d{5})\b"), luhn),
    "id": (re.compile(r"\b(?:\d{8}|[XYZ]\d{7})-?[A-Z]\b", re.I), dni),
    "ip": (
        re.compile(r"(?<![\w.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w.])"),
        lambda text: not text.startswith(("127.", "0.")),
    ),
    "phone": (
        re.compile(r"(?<![\w.])\+\d{1,3}[ ./-]?(?:\(\d{1,4}\)[ ./-]?)?\d(?:[ ./-]?\d){6,12}\b"),
        always,
    ),
    "phone-de": (
        re.compile(
            r"(?<![\w.,/-])(?<!\d )(?:\(0[1-9]\d{1,4}\)|0[1-9]\d{1,4})(?:[ /-]| / )\d(?:[ -]?\d){4,8}\b|"
            r"\b01[567]\d{8,9}\b"
        ),
        always,
    ),
    "phone-us": (
        re.compile(r"(?<![\w.])\(\d{3}\) ?\d{3}-\d{4}\b|(?<![\w.-])\d{3}-\d{3}-\d{4}\b(?!-)"),
        always,
    ),
}


def kinds(text: str) -> list[str]:
    """The kinds of personal data that the text contains."""
    return [
        name
        for name, (pattern, valid) in KINDS.items()
        if any(valid(match.group()) for match in pattern.finditer(text))
    ]


def redact(text: str) -> str:
    """The text with each finding replaced by its kind, such as `[email]`."""
    for name, (pattern, valid) in KINDS.items():
        label = f"[{name.partition('-')[0]}]"
        text = pattern.sub(lambda m, v=valid, x=label: x if v(m.group()) else m.group(), text)  # type: ignore[misc]
    return text


PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(dict.fromkeys(name.partition('-')[0] for name in KINDS))})-\d+\]")


class Vault:
    """What was taken out of one request, for its own answer alone: never logged, cached or stored."""

    def __init__(self) -> None:
        self.names: dict[str, str] = {}
        self.values: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Vault({len(self.values)} values)"

    def hide(self, text: str) -> str:
        """The text with each finding replaced by a placeholder, such as `[email-1]`; a value has one."""
        taken = set(PLACEHOLDER.findall(text))
        for kind, (pattern, valid) in KINDS.items():
            label = kind.partition("-")[0]
            for value in dict.fromkeys(m.group() for m in pattern.finditer(text) if valid(m.group())):
                text = text.replace(value, self.name(label, value, taken))
        return text

    def name(self, label: str, value: str, taken: set[str]) -> str:
        """The placeholder of a value; never one that the caller's own text has."""
        if value not in self.names:
            number = 1 + sum(name.startswith(f"[{label}-") for name in self.values)
            while f"[{label}-{number}]" in taken or f"[{label}-{number}]" in self.values:
                number += 1
            self.names[value] = f"[{label}-{number}]"
            self.values[f"[{label}-{number}]"] = value
        return self.names[value]

    def restore(self, text: str) -> str:
        """The text with the values back in their places."""
        return PLACEHOLDER.sub(lambda m: self.values.get(m.group(), m.group()), text)

    def restore_all(self, content: Any) -> Any:
        """The same for every text inside lists and dicts."""
        if not self.values:
            return content
        if isinstance(content, str):
            return self.restore(content)
        if isinstance(content, dict):
            return {key: self.restore_all(value) for key, value in content.items()}
        return [self.restore_all(item) for item in content] if isinstance(content, list) else content


class Restorer:
    """Puts the values back into text that comes in pieces; a placeholder may be cut by them."""

    def __init__(self, vault: Vault) -> None:
        self.vault, self.held = vault, ""

    def feed(self, piece: str) -> str:
        """Take a piece; returns what is whole."""
        if not self.vault.values:
            return piece
        self.held += piece
        opened = self.held.rfind("[")
        whole = (
            len(self.held)
            if opened < 0 or "]" in self.held[opened:] or len(self.held) - opened > 16
            else opened
        )
        shown, self.held = self.held[:whole], self.held[whole:]
        return self.vault.restore(shown)

    def end(self) -> str:
        """The rest."""
        shown, self.held = self.held, ""
        return self.vault.restore(shown)
