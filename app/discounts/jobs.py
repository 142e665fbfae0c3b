"""Background work of discounts."""

from app.discounts.service.codes import SYNC_JOB
from app.discounts.service.coupons import CouponSync
from app.discounts.service.redeeming import Redeeming
from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload


async def tell_stripe(payload: Payload, services: Services) -> None:
    await services[CouponSync].tell_stripe()


async def release_forgotten(payload: Payload, services: Services) -> None:
    await services[Redeeming].release_forgotten()


JOBS = {SYNC_JOB: tell_stripe, "discounts.release_forgotten": release_forgotten}
