"""Bring back what was said before; what no longer fits is summarised once, and kept with its turn."""

from app import conversation, results, tiers
from app.bill import Bill
from app.conversation import History
from app.events import ignore
from app.features import Feature
from app.pii import Vault
from app.results import Owner
from app.services import Services
from app.tiers import Call, Target


async def history(
    services: Services, feature: Feature, owner: Owner, targets: list[Target], vault: Vault, bill: Bill
) -> tuple[History, int]:
    """The history of (tenant, user, conversation), and how many of its turns were summarised now."""
    if not owner[2]:
        return History(), 0
    rows = await results.recent(services.engine, *owner)
    old, new = conversation.split(conversation.read(rows), feature.spec.conversation.max_tokens)
    summary = old.summary
    if old.turns:
        text = vault.hide(conversation.transcript(old))
        done = await tiers.complete(Call(conversation.SUMMARY, text, str), targets, bill, ignore)
        summary = done.output
        await results.summarise(services.engine, old.turns[-1].id, vault.restore(summary))
    return History(summary or new.summary, new.turns).hidden(vault.hide), len(old.turns)
