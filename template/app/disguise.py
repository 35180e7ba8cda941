"""Undo what hides words from rules: look-alike and invisible characters, spaced letters, leet, base64."""

import base64
import re
import unicodedata
from urllib.parse import unquote

# After NFKD and casefold; they stand for the Latin letter that they look like.
TWINS = dict(zip("авеікмнорстухѕјһԁӏαβεικνορτυχηωıɡøłđ", "abeikmhopctyxsjhdlabeikvoptuxnwigold", strict=True))
INVISIBLE = [0xAD, 0x180E, *range(0x300, 0x370), *range(0x200B, 0x2010), *range(0x202A, 0x202F)]
INVISIBLE += [*range(0x2060, 0x2070), *range(0xFE00, 0xFE10), 0xFEFF]
TAGS = {0xE0000 + code: code for code in range(0x20, 0x7F)}  # a hidden copy of ASCII
TABLE = str.maketrans(TWINS | {"’": "'", "‘": "'"}) | dict.fromkeys(INVISIBLE) | TAGS
SPACED = re.compile(r"\w(?<!\w.)([ ._*-])\w(?:\1\w){2,}(?!\w)")
SEPARATORS = re.compile(r"[\W_]")
GAP = re.compile(r"\s(?:\s+|(?<=[^ \n]))")
LEET = re.compile(r"[013457@$](?:(?<=[a-z].)[013457@$]*|(?<![013457@$].)[013457@$]*(?=[a-z]))")
DIGITS = str.maketrans("013457@$", "oieastas")
BASE64 = re.compile(r"[\w+/](?<![\w+/=-].)[\w+/-]{15,4000}={0,2}", re.A)
SHOWN = re.compile(r"[\s!-~]+")
MAX_DECODED = 4


def undone(text: str) -> str:
    """The text in lower case without accents and disguises; what was encoded in it stands at its end."""
    hidden = decoded(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    text = f"{text}\n{hidden}".casefold() if hidden else text.casefold()
    if not text.isascii():
        text = text.translate(TABLE)
    text = SPACED.sub(lambda match: SEPARATORS.sub("", match[0]), text)
    text = GAP.sub(lambda match: "\n" if "\n" in match[0] else " ", text)
    return LEET.sub(lambda match: match[0].translate(DIGITS), text)


def decoded(text: str) -> str:
    """What the text holds in base64 or percent escapes, where that is plain English letters."""
    found = [unquote(text)] if "%20" in text else []
    for match in list(BASE64.finditer(text))[:MAX_DECODED]:
        coded = match[0].rstrip("=").translate(str.maketrans("-_", "+/"))
        try:
            plain = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True).decode("ascii")
        except ValueError:
            continue
        if SHOWN.fullmatch(plain):
            found.append(plain)
    return "\n".join(found)
