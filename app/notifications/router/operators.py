"""Everybody's notices, for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentOperator
from app.infra.http.provide import provide
from app.infra.http.schemas import PageOut, Paging
from app.notifications.domain import NoticeState
from app.notifications.schemas import AnyNoticeOut, NoticeId
from app.notifications.service.looking import NoticeDesk

router = APIRouter(prefix="/admin/notifications", tags=["admin"], route_class=IdempotentRoute)

Desk = Annotated[NoticeDesk, provide(NoticeDesk)]


@router.get("", response_model=PageOut[AnyNoticeOut], status_code=200)
async def list_all_notices(
    operator: CurrentOperator, desk: Desk, paging: Paging, state: NoticeState | None = None
) -> PageOut[AnyNoticeOut]:
    """What anybody was told, the latest first. Dead letters are `refused` and `exhausted`."""
    return PageOut.of(await desk.list_for_operators(paging, state), AnyNoticeOut.of)


@router.post("/{notice_id}/resend", response_model=AnyNoticeOut, status_code=202)
async def resend_notice(notice_id: NoticeId, operator: CurrentOperator, desk: Desk) -> AnyNoticeOut:
    """Try a dead letter again. It says what holds by then, or nothing."""
    return AnyNoticeOut.of(await desk.resend(notice_id))
