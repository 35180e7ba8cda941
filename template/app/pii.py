"""Personal data and secrets by their form and check digits; names and addresses need a model that reads."""

import re
from collections.abc import Callable


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
