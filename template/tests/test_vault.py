"""Personal data taken out of a request, and put back into its own answer alone."""

import pytest

from app.pii import Restorer, Vault
from tests import kit

TEXT = "Ann (ann@example.com, +49 30 1234567) and bob@example.com; again ann@example.com."


def test_each_value_has_one_placeholder_and_comes_back():
    vault = Vault()
    hidden = vault.hide(TEXT)
    assert hidden == "Ann ([email-1], [phone-1]) and [email-2]; again [email-1]."
    assert vault.restore(hidden) == TEXT


def test_a_placeholder_that_the_caller_wrote_stays_what_it_is():
    vault = Vault()
    said = "[email-1] is not ann@example.com"
    assert vault.restore(vault.hide(said)) == said


def test_values_come_back_deep_inside_an_output():
    vault = Vault()
    hidden = {"list": [vault.hide("to ann@example.com"), 7], "text": "none"}
    assert vault.restore_all(hidden) == {"list": ["to ann@example.com", 7], "text": "none"}


def test_a_placeholder_cut_by_pieces_comes_back_whole():
    vault = Vault()
    hidden = vault.hide(TEXT)
    for size in range(1, 12):
        back = Restorer(vault)
        pieces = [hidden[at : at + size] for at in range(0, len(hidden), size)]
        assert "".join(back.feed(piece) for piece in pieces) + back.end() == TEXT


def test_a_vault_shows_no_value():
    vault = Vault()
    vault.hide(TEXT)
    assert "ann" not in repr(vault)


@pytest.mark.parametrize("cached", [False, True])
async def test_a_provider_sees_placeholders_and_the_caller_its_own_data(project, cached):
    heard = []
    said = '{"result": "Mail [email-1] today."}'
    kit.edit("features/note/feature.toml", "max_tokens = 300", "max_tokens = 300\ncache_ttl_s = 60")
    with kit.serve(kit.provider(said=said, heard=heard)) as url:
        kit.models(first=url)
        async with kit.site() as site:
            for name in ("ann", "bob") if cached else ("bob",):
                answer = await site.post("note", {"text": f"Please mail {name}@example.com soon."})
    assert answer.json()["output"] == {"result": "Mail bob@example.com today."}
    assert answer.json()["meta"]["cached"] is cached
    assert all("example.com" not in str(request) for request in heard)


async def test_a_stream_puts_them_back_too(project):
    with kit.serve(kit.provider(said='{"result": "Mail [email-1] today."}')) as url:
        kit.models(first=url)
        async with kit.site() as site:
            told = await site.stream("note", {"text": "Please mail bob@example.com soon."})
    assert "bob@example.com" in "".join(data["text"] for kind, data in told if kind == "delta")
