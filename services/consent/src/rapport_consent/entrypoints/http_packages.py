"""What people fetch without a login: their package, by a signed link that rests on their verification."""

from __future__ import annotations

from typing import Final

from rapport_chassis.audit import AuditTrail
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from rapport_consent.domain.errors import ERRORS
from rapport_consent.entrypoints.package_links import PackageLinks
from rapport_consent.entrypoints.request_ports import PackageStore, RequestStore

_HEADERS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def package_routes(store: RequestStore, packages: PackageStore, links: PackageLinks, trail: AuditTrail) -> list[Route]:
    """Return what is served."""

    async def package(request: Request) -> Response:
        request_id, right, rests_on = links.open(request.path_params["token"])
        async with store.unit() as unit:
            found = await unit.requests.get(request_id)
            links.require_alive(found, rests_on)
            if right not in await packages.rights(request_id, links.clock.now()):
                raise ERRORS.error("PACKAGE_NOT_READY", "there is no such package, or it has expired")
            _, pieces = await packages.open(request_id, right)
            await trail.append(
                unit.connection,
                actor="",
                caller="link",
                action="/packages",
                target=request_id,
                reason=right.value,
                outcome="allowed",
            )
        name = f"{request_id}-{right.value.lower()}.zip"
        headers = {**_HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(pieces, media_type="application/zip", headers=headers)

    return [Route("/packages/{token}", package)]
