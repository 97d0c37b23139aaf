"""Whether the caller, and where the contract asks for one the human operator, may call this method."""

from __future__ import annotations

from typing import Any

from rapport_chassis.rpc.pipeline import Call, Handler, Method


def authorization(method: Method, handler: Handler) -> Handler:
    """Refuse callers without the permission of the method."""
    permission, human = method.access.permission, method.access.human
    if not permission and not human:
        return handler

    async def authorized(call: Call, request: Any) -> bytes | None:
        call.require(permission, human=human)
        return await handler(call, request)

    return authorized
