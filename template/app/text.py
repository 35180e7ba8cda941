"""Words, sentences and tokens: what the keyless model, retrieval, budgets and scorers share."""

import re
import threading
import tomllib
import unicodedata
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import snowballstemmer

WORD = re.compile(r"\w+(?:['’.%/-]\w+)*%?")
# Half of a character (an unpaired surrogate), which no socket and no database takes.
HALF = re.compile("[\ud800-\udfff]")
PIECE = re.compile(r"\w{1,5}|[^\w\s]")
# A number before one of these is a German ordinal, as in "am 12. April", and ends no sentence.
ORDINAL = (
    r"(?:Januar|Februar|März|April|Mai|Juni|Juli|August|September|Oktober|November|Dezember|"
    r"Quartal|Jahrhundert|Stock)\b"
)
SENTENCE_END = re.compile(
    r"(?:(?<=[.!?…])|(?<=[.!?…][\"”“»’)\]]))\s+"
    rf"(?!(?<=\d\. ){ORDINAL})(?=[\"“„«(\[]?[A-ZÀ-Þ0-9¿¡])"
)
ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|approx|Mr|Ms|Dr|bzw|usw|ca|Nr|Art|Abs|p\.ej|núm|Sra?|EE|UU)|\b[A-Zzdup])\.$"
)
LANGUAGES = {"en": "english", "de": "german", "es": "spanish"}
# Raise it when the stems change: indexes are built again.
REVISION = 2


@cache
def word_lists() -> dict[str, dict[str, str]]:
    """The lists of words.toml by kind and language."""
    return tomllib.loads(Path(__file__).with_name("words.toml").read_text(encoding="utf-8"))


@cache
def stopwords() -> dict[str, frozenset[str]]:
    """The little words of each language."""
    return {name: frozenset(said.split()) for name, said in word_lists()["stopwords"].items()}


def language(text: str) -> str:
    """The language whose little words are the most frequent: en, de or es; en where none leads."""
    said = words(text)
    counts = {name: sum(word in known for word in said) for name, known in stopwords().items()}
    return max(counts, key=lambda name: counts[name])


def words(text: str) -> list[str]:
    """Lower-case words in order, numbers kept whole (`95 %` and `95%` read the same)."""
    joined = re.sub(r"(\d)\s+%", r"\1%", unicodedata.normalize("NFKC", text))
    return [word.lower().replace("’", "'") for word in WORD.findall(joined)]


@lru_cache(maxsize=100_000)
def stem(word: str, language: str) -> str:
    """The word without its endings, by the Snowball stemmer of its language."""
    return str(stemmer(LANGUAGES[language], threading.get_ident()).stemWord(word))


@cache
def stemmer(name: str, _thread: int) -> Any:
    """One stemmer a language and thread, since it works on a state of its own; the package has no types."""
    return snowballstemmer.stemmer(name)


def terms(text: str, language: str) -> list[str]:
    """Stems of the words that carry meaning; hyphenated words also count in parts."""
    found, skipped = [], stopwords()[language]
    for word in words(text):
        parts = [word, *re.split(r"[-/.']", word)] if re.search(r"[-/.']", word) else [word]
        found += [stem(part, language) for part in parts if part and part not in skipped]
    return found


def sentences(text: str) -> list[str]:
    """Sentences of running text; list items and headings count as sentences of their own."""
    found: list[str] = []
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*#]|\d+\.)\s)", text):
        flat = " ".join(re.sub(r"^\s*(?:[-*#]+|\d+\.)\s+", "", block).split())
        held = ""
        for part in SENTENCE_END.split(flat):
            held = f"{held} {part}".strip()
            if not ABBREVIATION.search(held):
                found.append(held)
                held = ""
        found.append(held)
    return [sentence for sentence in found if sentence]


def count_tokens(text: str) -> int:
    """Estimate tokens without a vocabulary: pieces of up to five letters, and signs.

    Exact for the keyless model, which counts the same way; for others the provider's own count
    replaces it after the call.
    """
    return len(PIECE.findall(text))


def has_ink(text: str) -> bool:
    """Whether a reader would see anything of it: more than spaces and controls."""
    return any(sign.isprintable() and not sign.isspace() for sign in text)


def fold(text: str) -> str:
    """Case and spacing removed, for comparing phrases."""
    flat = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"(\d) %", r"\1%", " ".join(flat.split()))
