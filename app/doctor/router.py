"""The doctor over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.doctor.schemas import ReportOut
from app.doctor.service import Doctor
from app.infra.http.principal import CurrentOperator
from app.infra.http.provide import provide
from app.infra.http.schemas import prefixed_id

router = APIRouter(prefix="/admin", tags=["admin"])


@router.get("/doctor", response_model=ReportOut)
async def examine(
    operator: CurrentOperator,
    doctor: Annotated[Doctor, provide(Doctor)],
    organization_id: prefixed_id("org") | None = None,  # type: ignore[valid-type]
) -> ReportOut:
    """Look at everything that must always hold: lines and totals, balances and entries, rollups
    and events, holds and reservations, mirrors and work that hangs.

    A check that takes longer than 20 seconds is `unfinished`. Of one organization it is quicker;
    checks about nobody's rows in particular are made all the same.
    """
    return ReportOut.of(await doctor.examine(organization_id))
