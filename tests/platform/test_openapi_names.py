"""What generators of clients trip over in an OpenAPI document."""

from __future__ import annotations

from collections import Counter

from tests.support.openapi import operations
from tests.support.service import Service


async def test_no_component_carries_the_name_of_a_module(service: Service) -> None:
    """Two classes of one name are told apart by where they live, which is nobody's business."""
    names = service.app.openapi()["components"]["schemas"]
    assert [name for name in names if "__" in name] == []
    assert "RecoveryStepOut" in names


async def test_no_operation_lists_a_parameter_twice(service: Service) -> None:
    twice: list[str] = []
    keyed = 0
    for operation in operations(service.app.openapi()):
        # Names of headers are the same in any case.
        listed = Counter(
            (each["in"], each["name"].lower()) for each in operation.spec.get("parameters", ())
        )
        twice += [f"{operation.name}: {each}" for each, times in listed.items() if times > 1]
        keyed += ("header", "idempotency-key") in listed
    assert twice == []
    assert keyed > 20
