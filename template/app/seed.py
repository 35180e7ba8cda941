"""Sample tenants, so that the first look is not at empty tables."""

from decimal import Decimal
from pathlib import Path

from app import db, files, tenants
from app.files import Strict
from app.settings import Settings

SOURCE = Path("data/seed/tenants.toml")


class Sample(Strict):
    """One tenant of the seed file."""

    name: str
    budget_usd: Decimal | None = None


class Samples(Strict):
    """The content of the seed file; without it there are no samples."""

    tenants: dict[str, Sample] = {}


async def tenants_from(config: Settings, source: Path = SOURCE) -> list[str]:
    """Create the sample tenants that are missing; returns all names. Safe to repeat."""
    samples = files.read_toml(source, Samples).tenants
    engine = db.connect(config.database_url)
    try:
        await db.require(engine)
        for name, sample in samples.items():
            await tenants.add(engine, name, sample.name, sample.budget_usd)
    finally:
        await engine.dispose()
    return list(samples)
