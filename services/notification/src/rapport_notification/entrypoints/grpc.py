"""rapport.notification.v1.NotificationService over gRPC: one service, answered by several parts."""

from __future__ import annotations

from typing import Any, Final, NoReturn

import grpc
from rapport.notification.v1 import notification_pb2, notification_pb2_grpc
from rapport_chassis.errors import CHASSIS_ERRORS

Context = grpc.aio.ServicerContext[Any, Any]

METHODS: Final = frozenset(notification_pb2.DESCRIPTOR.services_by_name["NotificationService"].methods_by_name)
"""The names of its methods."""


def servicer_of(*parts: object) -> notification_pb2_grpc.NotificationServiceServicer:
    """Return what hands each call to the part that has its method; a method that no part has is UNIMPLEMENTED.

    Args:
        parts: Each has some of the methods, under their names in the contract.

    Raises:
        ValueError: Two parts have one method, or a part has none.
    """
    methods: dict[str, object] = {name: staticmethod(_unknown) for name in METHODS}
    answered: set[str] = set()
    for part in parts:
        mine = METHODS & vars(type(part)).keys()
        if not mine or mine & answered:
            raise ValueError(f"{type(part).__name__} has no method of its own, or another part's")
        methods |= {name: getattr(part, name) for name in mine}
        answered |= mine
    made: type[notification_pb2_grpc.NotificationServiceServicer] = type(
        "NotificationServicer", (notification_pb2_grpc.NotificationServiceServicer,), methods
    )
    return made()


async def _unknown(request: object, context: Context) -> NoReturn:
    raise CHASSIS_ERRORS.error("METHOD_UNKNOWN", "this server has no such method")
