"""Who calls: the URI of the client certificate, and the human operator behind the call if a token shows one."""

from __future__ import annotations

from typing import Any

from rapport_chassis.auth.actor_tokens import METADATA_KEY, ActorTokenVerifier
from rapport_chassis.auth.certificates import PeerCertificates
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.rpc.pipeline import Call, Handler, Method, Middleware


def authentication(policy: PermissionPolicy, tokens: ActorTokenVerifier | None) -> Middleware:
    """Return the middleware that names the caller.

    Args:
        policy: Knows the callers.
        tokens: Reads actor tokens; None: they are ignored.
    """
    peers = PeerCertificates()

    def around(method: Method, handler: Handler) -> Handler:
        open_to_all = not method.access.permission

        async def authenticated(call: Call, request: Any) -> bytes | None:
            peer = peers.of(call.context.auth_context())
            grants = policy.grants_of(peer.uri) if peer.uri else None
            call.identify(peer.uri, peer.thumbprint, grants, policy)
            if grants is None and not open_to_all:
                if not peer.uri:
                    raise CHASSIS_ERRORS.error(
                        "CERTIFICATE_MISSING", "the client certificate must name its holder by exactly one URI"
                    )
                raise CHASSIS_ERRORS.error(
                    "CALLER_UNKNOWN", f"no permission is configured for {peer.uri}", metadata={"caller": peer.uri}
                )
            token = call.metadata.get(METADATA_KEY)
            if token is not None and tokens is not None:
                call.actor = tokens.verify(call.text(METADATA_KEY), peer.thumbprint)
            return await handler(call, request)

        return authenticated

    return around
