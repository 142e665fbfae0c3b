"""The doctor's round."""

from app.doctor.service import Doctor
from app.infra.http.provide import Services
from app.infra.jobs.worker import Payload


async def make_round(payload: Payload, services: Services) -> None:
    await services[Doctor].examine()


JOBS = {"doctor.make_round": make_round}
