"""Undo what hides words from rules: look-alike and invisible characters, spaced letters, leet, base64."""

import base64
import re
import unicodedata
from urllib.parse import unquote

# After NFKD and casefold; they stand for the letter that they look like.
TWINS = str.maketrans("авеікмнорстухѕјһԁӏαβεικνορτυχηωıɡøłđ’‘", "abeikmhopctyxsjhdlabeikvoptuxnwigold''")
TAGS = {0xE0000 + code: code for code in range(0x20, 0x7F)}  # a hidden copy of ASCII
INVISIBLE = re.compile(r"[\u00ad\u0300-\u036f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")
SPACED = re.compile(r"\w(?<!\w.)([ ._*-])\w(?:\1\w){2,}(?!\w)")
GAP = re.compile(r"\s(?:\s+|(?<=[^ \n]))")
LEET = re.compile(r"[013457@$](?:(?<=[a-z].)[013457@$]*|(?<![013457@$].)[013457@$]*(?=[a-z]))")
DIGITS = str.maketrans("013457@$", "oieastas")
BASE64 = re.compile(r"[\w+/](?<![\w+/=-].)[\w+/-]{15,}={0,2}", re.A)
SHOWN = re.compile(r"[\s!-~]+")


def undone(text: str) -> str:
    """The text in lower case without accents and disguises; what was encoded in it stands at its end."""
    hidden = decoded(text)
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    text = f"{text}\n{hidden}".casefold() if hidden else text.casefold()
    if not text.isascii():
        text = INVISIBLE.sub("", text.translate(TWINS | TAGS))
    text = SPACED.sub(lambda match: re.sub(r"[\W_]", "", match[0]), text)
    text = GAP.sub(lambda match: "\n" if "\n" in match[0] else " ", text)
    return LEET.sub(lambda match: match[0].translate(DIGITS), text)


def decoded(text: str) -> str:
    """What the text holds in base64 or percent escapes, where that is plain English letters."""
    found = [unquote(text)] if "%20" in text else []
    for match in BASE64.finditer(text):
        coded = match[0].rstrip("=").translate(str.maketrans("-_", "+/"))
        try:
            plain = base64.b64decode(coded + "=" * (-len(coded) % 4), validate=True).decode("ascii")
        except ValueError:
            continue
        if SHOWN.fullmatch(plain):
            found.append(plain)
    return "\n".join(found)
