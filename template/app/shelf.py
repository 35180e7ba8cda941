"""Where pages and their indexes lie: a corpus that all tenants search, and the pages of one tenant alone."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from app import passages, text
from app.spec import AUTO, Nearest

# How a tenant's own page is named, so that it is never taken for a page of the corpus.
OWN = "~/"
SHARED = "_shared"  # no tenant can have this name
LANGUAGES = list(text.LANGUAGES)
# Stems are indexed, in the language of each page, so that a question finds other forms of its words.
# A row's number modulo 8 is its language: to read a column of every match takes longer than the search.
SCHEMA = """
create virtual table passage using fts5(
    page unindexed, title unindexed, heading unindexed, body unindexed, hash unindexed,
    title_stems, heading_stems, body_stems
);
create table vector (hash text primary key, value blob not null);
"""


@dataclass(frozen=True)
class Source:
    """Pages that are searched together. `encoder` is the model of their vectors, `pin` its exact version."""

    corpus: Path
    var: Path
    encoder: str = ""
    pin: str = ""
    tenant: str = ""
    nearest: Nearest = AUTO

    @property
    def folder(self) -> Path:
        """The folder of the pages."""
        return self.var / "documents" / self.tenant / self.corpus.name if self.tenant else self.corpus

    @property
    def home(self) -> Path:
        """The folder of the indexes: another one for each way to cut, to encode and to find the nearest."""
        how = [self.corpus.as_posix(), SCHEMA, passages.MAX_WORDS, text.REVISION, self.pin]
        how += self.nearest.model_dump(include={"index", "dims", "cut"}, exclude_defaults=True).items()
        told = hashlib.sha256(json.dumps(how).encode()).hexdigest()[:8]
        return self.var / "index" / (self.tenant or SHARED) / f"{self.corpus.name}-{told}"

    def of(self, tenant: str) -> "Source":
        """The same for one tenant's own pages."""
        return replace(self, tenant=tenant)


def pages(source: Source) -> dict[str, Path]:
    """Every markdown file below the folder by its name, in a fixed order."""
    folder, own = source.folder, OWN if source.tenant else ""
    return {own + p.relative_to(folder).with_suffix("").as_posix(): p for p in sorted(folder.rglob("*.md"))}


def path(source: Source) -> Path:
    """Where the index of the present pages lies; its name is their hash."""
    told = hashlib.sha256()
    for name, page in pages(source).items():
        told.update(name.encode() + b"\0" + page.read_bytes() + b"\0")
    return source.home / f"{told.hexdigest()[:12]}.db"


def newest(source: Source) -> Path | None:
    """The index to search in: that of the present pages where there is one, else the last that was built."""
    built = sorted(source.home.glob("*.db"), key=lambda index: index.stat().st_mtime_ns)
    # Two releases share one volume: each takes the index of its own corpus.
    exact = None if source.tenant else path(source)
    return exact if exact in built else built[-1] if built else None


def tenants(var: Path) -> Iterable[str]:
    """The tenants that have, or had, pages of their own."""
    folders = [*(var / "documents").glob("*/"), *(var / "index").glob("*/")]
    return sorted({folder.name for folder in folders} - {SHARED})
