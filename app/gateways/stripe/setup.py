"""What an account needs before it can sell: products, prices, meters, and whom it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, Protocol

from app.gateways.stripe.metering import StripeMeter


@dataclass(frozen=True, slots=True)
class TierSpec:
    """A stretch of units up to and including `up_to`; None is the last one. Minor units."""

    up_to: int | None
    unit_amount: Decimal
    flat_amount: Decimal


@dataclass(frozen=True, slots=True)
class PriceSpec:
    """A price as it should be. Its lookup key finds it again."""

    lookup_key: str
    product_id: str
    currency: str
    interval: str
    unit_amount: Decimal | None = None
    tiers: tuple[TierSpec, ...] = ()
    tiers_mode: str | None = None
    """`graduated` or `volume`."""
    package_size: int | None = None
    meter_id: str | None = None

    @property
    def fingerprint(self) -> str:
        """What cannot be changed of a price: two that differ in it are two prices."""
        return repr((self.product_id, self.currency, self.interval, self.unit_amount, self.tiers,
                     self.tiers_mode, self.package_size, self.meter_id))  # fmt: skip


@dataclass(frozen=True, slots=True)
class FoundPrice:
    """A price of the account and the fingerprint that it was made with."""

    id: str
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class PortalSpec:
    """What customers may do in Stripe's portal: always pay, look, and leave at the period's end."""

    name: str
    """Finds it again."""
    plans: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Prices by product that customers may change to there; none where that is done here."""


@dataclass(frozen=True, slots=True)
class PutPortal:
    """A portal configuration of the account, and what became of it."""

    id: str
    outcome: Literal["made", "changed", "kept"]


@dataclass(frozen=True, slots=True)
class Listener:
    """Somewhere the account tells of events. Its secret is told once, when it is made."""

    id: str
    url: str
    events: tuple[str, ...]
    secret: str | None = None


class SetupGateway(Protocol):
    """What is asked of Stripe when an account is set up; errors as with `StripeGateway`."""

    async def put_product(self, product_id: str, name: str) -> bool:
        """See to it that there is this product under this name; says whether it is new."""
        ...

    async def find_price(self, lookup_key: str) -> FoundPrice | None: ...

    async def create_price(self, spec: PriceSpec) -> str:
        """A new price's id. It takes the lookup key over from the price that had it."""
        ...

    async def find_meter(self, event_name: str) -> StripeMeter | None:
        """The active meter of that name."""
        ...

    async def create_meter(self, event_name: str, display_name: str) -> StripeMeter:
        """A meter that adds up what customers used."""
        ...

    async def put_portal(self, spec: PortalSpec) -> PutPortal:
        """See to it that there is a configuration of that name which is as it should be."""
        ...

    async def find_endpoint(self, url: str) -> Listener | None: ...

    async def create_endpoint(
        self, url: str, events: Sequence[str], *, api_version: str
    ) -> Listener: ...

    async def change_endpoint(self, endpoint_id: str, events: Sequence[str]) -> None: ...

    async def find_destination(self, url: str) -> Listener | None:
        """Where thin events go; these have endpoints of their own kind."""
        ...

    async def create_destination(self, url: str, events: Sequence[str]) -> Listener: ...

    async def change_destination(self, destination_id: str, events: Sequence[str]) -> None: ...
