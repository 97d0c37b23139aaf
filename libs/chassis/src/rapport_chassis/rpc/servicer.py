"""One service of a contract, answered by several parts, each in a file of its own."""

from __future__ import annotations

from typing import Any, NoReturn

from google.protobuf.descriptor import ServiceDescriptor

from rapport_chassis.errors import CHASSIS_ERRORS
from rapport_chassis.rpc.pipeline import ServicerContext


def servicer_of(base: Any, service: ServiceDescriptor, *parts: object) -> Any:
    """Return what hands each call to the part that has its method; a method that no part has is UNIMPLEMENTED.

    Args:
        base: The generated class.
        service: The service.
        parts: Each has some of the methods, under their names in the contract.

    Raises:
        ValueError: Two parts have one method, or a part has none.
    """
    names = frozenset(service.methods_by_name)
    methods: dict[str, object] = {name: staticmethod(_unknown) for name in names}
    answered: set[str] = set()
    for part in parts:
        mine = names & vars(type(part)).keys()
        if not mine or mine & answered:
            raise ValueError(f"{type(part).__name__} has no method of its own, or another part's")
        methods |= {name: getattr(part, name) for name in mine}
        answered |= mine
    return type(service.name, (base,), methods)()


async def _unknown(request: object, context: ServicerContext) -> NoReturn:
    raise CHASSIS_ERRORS.error("METHOD_UNKNOWN", "this server has no such method")
