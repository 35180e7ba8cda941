"""What one tenant asked and was told is nothing to another: every route of the app is walked with its key."""

from dataclasses import dataclass

import pytest
from fastapi.routing import iter_route_contexts

from app import tenants
from tests import kit

MARK = "Zebrafish"
GIVEN = {"text": f"The {MARK} invoice is due on Friday. Please pay it by bank transfer."}
ASKED = {"question": f"When is the {MARK} invoice due?"}
SAID = '{"result": "It is about an invoice."}'
SSE = {"Accept": "text/event-stream"}
LATER = {"Prefer": "respond-async", "Idempotency-Key": "order-7"}
TALK = "?conversation_id=c1&user_id=ann"


@dataclass
class World:
    """The app, the headers of owner and stranger, what the owner left behind, and what the model heard."""

    site: kit.Site
    owner: dict[str, str]
    stranger: dict[str, str]
    left: dict[str, str]
    heard: list[object]

    async def get(self, path: str, **more: str):
        """The stranger reads."""
        return await self.site.http.get(path, headers=self.stranger | more)

    async def post(self, feature: str, given: object, **more: str):
        """The stranger asks."""
        headers = self.stranger | {name.replace("_", "-"): value for name, value in more.items()}
        return await self.site.http.post(f"/v1/{feature}", json=given, headers=headers)


@pytest.fixture
async def world(project):
    """Two tenants; the first has an answer, a stream, a job that waits, and a conversation."""
    heard = []
    kit.edit("features/note/feature.toml", "max_tokens", "cache_ttl_s = 60\nmax_tokens")
    with kit.serve(kit.provider(said=SAID, heard=heard)) as url:
        kit.models(first=url)
        async with kit.site(auth="required", pepper=kit.PEPPER, metrics_key="metrics-key") as site:
            owner, stranger = [{"Authorization": f"Bearer {await key(site, n)}"} for n in ("acme", "globex")]
            http, left = site.http, {}
            for name, more in {"answer": {}, "stream": SSE, "job": LATER}.items():
                said = await http.post(f"/v1/note{TALK}", json=GIVEN, headers=owner | more)
                left[name] = kit.events(said.text)[0][1]["id"] if more is SSE else named(said.json())
            await http.post("/v1/ask", json=ASKED, headers=owner)
            await site.held.recorder.flush()
            yield World(site, owner, stranger, left, heard)


async def key(site: kit.Site, tenant: str) -> str:
    """A tenant's key."""
    await tenants.add(site.held.engine, tenant, tenant, None)
    return await tenants.create_key(site.held.engine, site.held.plan.settings, tenant)


def named(body: dict) -> str:
    """The id of an answer, or of what was taken for later."""
    return body["id"] if "id" in body else body["meta"]["id"]


def clean(said, status: int = 200):
    """Nothing of the owner is in a response with this status."""
    assert said.status_code == status, said.text
    for secret in (MARK, "acme"):
        assert secret not in said.text
        assert secret not in str(said.headers)
    return said


async def ask_note(world: World) -> None:
    """The same question, in the same words: paid again, with no history of the other's conversation."""
    heard = len(world.heard)
    said = clean(await world.post(f"note{TALK}", GIVEN))
    assert not said.json()["meta"]["cached"]
    assert len(world.heard) == heard + 1
    assert len(world.heard[-1]["messages"]) == 2
    taken = clean(await world.post(f"note{TALK}", GIVEN, **LATER), 202).json()["id"]
    assert taken not in world.left.values()


async def ask_ask(world: World) -> None:
    """The same question of the pages: from the stranger's own cache, once it is there."""
    said = [(await world.post("ask", ASKED)).json()["meta"]["cached"] for _ in range(2)]
    assert said == [False, True]


async def results(world: World) -> None:
    """Answers, streams and jobs, by every way to read them; the owner's own way is open."""
    for id in world.left.values():
        for more in ({}, SSE, {**SSE, "Last-Event-ID": "0"}):
            clean(await world.get(f"/v1/results/{id}", **more), 404)
        assert (await world.site.http.get(f"/v1/results/{id}", headers=world.owner)).status_code in (200, 202)


async def read_talk(world: World) -> None:
    """A conversation of the same name and user."""
    clean(await world.get("/v1/conversations/c1?user_id=ann"), 404)
    owned = await world.site.http.get("/v1/conversations/c1?user_id=ann", headers=world.owner)
    assert MARK in owned.text


async def erase_talk(world: World) -> None:
    """What a stranger erases is there as before."""
    place = "/v1/conversations/c1?user_id=ann"
    assert clean(await world.site.http.delete(place, headers=world.stranger)).json() == {"erased": 0}
    assert MARK in (await world.site.http.get(place, headers=world.owner)).text


async def metrics(world: World) -> None:
    """Counters: closed to tenants, and without any tenant's name."""
    clean(await world.get("/metrics"), 401)
    headers = {"Authorization": "Bearer metrics-key"}
    assert "app_requests_total" in clean(await world.site.http.get("/metrics", headers=headers)).text


async def pages(world: World) -> None:
    """Pages that all tenants search, and no other file."""
    clean(await world.get("/v1/pages/ask/invoices"))
    for path in ("../var/app", "../../etc/passwd", "%2e%2e/var/app.db"):
        clean(await world.get(f"/v1/pages/ask/{path}"), 404)


async def unknown(world: World) -> None:
    """A feature that is not there."""
    clean(await world.site.http.post("/v1/usage", json={}, headers=world.stranger), 404)


def public(path: str):
    """A route that tells everybody the same."""

    async def read(world: World) -> None:
        clean(await world.get(path))

    return read


CASES = {
    "POST /v1/note": ask_note,
    "POST /v1/ask": ask_ask,
    "GET /v1/results/{id}": results,
    "GET /v1/conversations/{id}": read_talk,
    "DELETE /v1/conversations/{id}": erase_talk,
    "GET /metrics": metrics,
    "GET /v1/pages/{feature}/{page:path}": pages,
    "POST /v1/{feature}": unknown,
    "GET /static/{name}": public("/static/page.js"),
    **{
        f"GET {path}": public(path)
        for path in (
            "/", "/v1/features", "/healthz", "/readyz", "/openapi.json", "/docs", "/redoc",
            "/docs/oauth2-redirect",
        )
    },
}  # fmt: skip


def routes(app) -> set[str]:
    """Every method and path that the app answers; a mounted app counts as a whole."""
    return {
        f"{method} {route.path}"
        for route in iter_route_contexts(app.routes)
        for method in getattr(route, "methods", None) or ("*",)
        if method != "HEAD"
    }


@pytest.mark.parametrize("name", CASES)
async def test_a_route_tells_a_stranger_nothing(world, name):
    await CASES[name](world)


async def test_every_route_of_the_app_has_a_case(world):
    app = world.site.http._transport.app
    described = {
        f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods
    }
    assert routes(app) == set(CASES)
    assert described <= set(CASES)


async def test_only_a_feature_that_says_so_shares_its_answers(project):
    kit.edit("features/ask/feature.toml", "cache_ttl_s = 60", "cache_ttl_s = 60\nshared_cache = true")
    async with kit.site(auth="required", pepper=kit.PEPPER) as site:
        keys = [await key(site, name) for name in ("acme", "globex")]
        said = [(await site.post("ask", kit.QUESTION, one)).json()["meta"]["cached"] for one in keys]
    assert said == [False, True]
