"""The order of the middlewares: what every call passes through, outermost first."""

from __future__ import annotations

from rapport_chassis.auth.actor_tokens import ActorTokenVerifier
from rapport_chassis.auth.permissions import PermissionPolicy
from rapport_chassis.rpc.middleware.admission import admission
from rapport_chassis.rpc.middleware.authentication import authentication
from rapport_chassis.rpc.middleware.authorization import authorization
from rapport_chassis.rpc.middleware.deadline import deadline
from rapport_chassis.rpc.middleware.errors import errors
from rapport_chassis.rpc.middleware.log_context import log_context
from rapport_chassis.rpc.middleware.telemetry import telemetry
from rapport_chassis.rpc.middleware.validation import validation
from rapport_chassis.rpc.pipeline import Middleware
from rapport_chassis.settings import GrpcSettings
from rapport_chassis.telemetry.setup import Telemetry


def chain(
    settings: GrpcSettings, process: Telemetry, policy: PermissionPolicy, tokens: ActorTokenVerifier | None
) -> list[Middleware]:
    """Return the middlewares. Telemetry stands outside the error mapping, so that it sees the mapped status."""
    return [
        telemetry(process),
        log_context,
        errors,
        authentication(policy, tokens),
        authorization,
        admission(settings.max_in_flight),
        deadline(settings.default_deadline_s),
        validation(settings.max_message_bytes),
    ]
