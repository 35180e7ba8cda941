"""The page at /: try a feature, see its answer come, its sources and what it took."""

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from app import shelf, tenants
from app.errors import NotFound
from app.services import Plan, Services

STATIC = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def routes(plan: Plan) -> APIRouter:
    """The page, its files, what it needs to know of the features, and the pages that answers cite."""
    router = APIRouter(include_in_schema=False)
    known = {path.name: path for path in STATIC.iterdir()}

    @router.get("/")
    async def index() -> Response:
        return FileResponse(known["index.html"], headers=HEADERS)

    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in known:
            raise NotFound(f"no file '{name[:40]}'")
        return FileResponse(known[name], headers={**HEADERS, "Cache-Control": "no-cache"})

    @router.get("/v1/features")
    async def features() -> dict[str, object]:
        found = [
            {
                "name": feature.name,
                "summary": feature.spec.summary,
                "input": feature.Input.model_json_schema(),
                "examples": feature.spec.examples,
            }
            for feature in plan.features.values()
        ]
        return {"title": plan.settings.title, "description": plan.settings.description, "features": found}

    @router.get("/v1/pages/{feature}/{page:path}")
    async def cited(feature: str, page: str, request: Request) -> dict[str, str]:
        held: Services = request.app.state.services
        caller = await held.access.caller(tenants.bearer(request.headers))
        return {"page": page, "text": page_text(plan, feature, page, caller.id)}

    return router


def page_text(plan: Plan, feature: str, page: str, tenant: str) -> str:
    """A page of the corpus that a feature searches, or of the tenant's own; else raise NotFound."""
    found = plan.features.get(feature)
    wanted = found.spec.retrieval if found else None
    owner = tenant if page.startswith(shelf.OWN) else ""
    names = shelf.pages(plan.source(wanted, owner)) if wanted else {}
    if page not in names:
        raise NotFound(f"no page '{page[:80]}' in what feature '{feature[:40]}' searches")
    return names[page].read_text(encoding="utf-8")
