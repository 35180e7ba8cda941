"""Words, sentences and tokens: what the keyless model, retrieval, budgets and scorers share."""

import re
import unicodedata
from functools import lru_cache

WORD = re.compile(r"\w+(?:['’.%/-]\w+)*%?")
PIECE = re.compile(r"\w{1,5}|[^\w\s]")
SENTENCE_END = re.compile(r"(?<=[.!?])[\"”)\]]*\s+(?=[\"“(\[]?[A-ZÀ-ÞÄÖÜ0-9¿¡])")
ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|approx|z\.B|d\.h|bzw|p\.ej|Mr|Ms|Dr)|\b[A-Z])\.$")
STOPWORDS = frozenset(
    """
    a an the and or but if then than that this these those is are was were be been being am do does did doing
    have has had having i you he she it we they me him her us them my your his its our their of to in on at by
    for with from into out over under about as so not no can could should would will may might must shall what
    which who whom whose when where why how there here also just very much many more most some any each all
    both one get gets got want wants need needs make makes really actually please tell let

    der die das den dem des ein eine einer eines einem einen und oder aber wenn dann als ist sind war waren
    ich du er sie es wir ihr mein dein sein unser euer von zu im am auf bei mit für aus nach über unter um
    wie was wer wo wann warum welche welcher welches nicht kein keine auch nur sehr man wird werden kann muss

    el la los las un una unos unas y o pero si entonces que es son era ser estar está yo tú él ella nosotros
    su sus mi tu de del al en por para con sin sobre como qué cuál quién cuándo dónde cómo cuánto se lo le
    les más muy también hay debe puede
    """.split()  # noqa: SIM905
)
SUFFIXES: tuple[str, ...] = (
    "ations",
    "ation",
    "ities",
    "ingly",
    "ments",
    "ness",
    "ment",
    "ings",
    "edly",
    "able",
    "ible",
)
SUFFIXES += ("ies", "ing", "ion", "ity", "est", "ers", "ed", "es", "er", "ly", "al", "s", "e")


def words(text: str) -> list[str]:
    """Lower-case words in order, numbers kept whole (`95 %` and `95%` read the same)."""
    joined = re.sub(r"(\d)\s+%", r"\1%", unicodedata.normalize("NFKC", text))
    return [word.lower().replace("’", "'") for word in WORD.findall(joined)]


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """Cut common English endings: crude, fast, and the same everywhere."""
    for suffix in SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            root = word[: -len(suffix)]
            return root[:-1] if len(root) > 3 and root[-1] == root[-2] else root
    return word


def terms(text: str) -> list[str]:
    """Stems of the words that carry meaning; hyphenated words also count in parts."""
    found = []
    for word in words(text):
        parts = [word, *re.split(r"[-/.']", word)] if re.search(r"[-/.']", word) else [word]
        found += [stem(part) for part in parts if part and part not in STOPWORDS]
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
        if held:
            found.append(held)
    return [sentence for sentence in found if sentence]


def count_tokens(text: str) -> int:
    """Estimate tokens without a vocabulary: pieces of up to five letters, and signs.

    Exact for the keyless model, which counts the same way; for others the provider's own count
    replaces it after the call.
    """
    return len(PIECE.findall(text))


def fold(text: str) -> str:
    """Case and spacing removed, for comparing phrases."""
    flat = unicodedata.normalize("NFKC", text).casefold()
    return re.sub(r"(\d) %", r"\1%", " ".join(flat.split()))
