"""Hands services to routers by type: `Annotated[InvoiceService, provide(InvoiceService)]`."""

from __future__ import annotations

from typing import Any, TypeVar

from fastapi import Depends, Request

T = TypeVar("T")


class Services:
    """What a process is made of, by type. Filled once by `app/wiring.py`, then only read."""

    def __init__(self) -> None:
        self._by_type: dict[type[Any], Any] = {}

    def add(self, kind: type[T], instance: T) -> T:
        if kind in self._by_type:
            raise LookupError(f"{kind.__name__} is registered already")
        self._by_type[kind] = instance
        return instance

    def __getitem__(self, kind: type[T]) -> T:
        try:
            instance: T = self._by_type[kind]
        except KeyError:
            raise LookupError(f"nobody registered {kind.__name__}") from None
        return instance

    def __contains__(self, kind: type[Any]) -> bool:
        return kind in self._by_type


def provide(kind: type[Any]) -> Any:
    """A dependency that yields the process's *kind*."""

    async def pick(request: Request) -> Any:
        return request.app.state.services[kind]

    return Depends(pick)
