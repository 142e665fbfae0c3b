"""Notices and preferences over HTTP."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from app.infra.http.principal import CurrentPerson, needs
from app.infra.http.provide import provide
from app.infra.http.rate_limit import limited_by_address
from app.infra.http.schemas import MessageOut, PageOut, Paging
from app.kernel.principal import Permission, Principal
from app.notifications.domain import NoticeKind, NoticeState
from app.notifications.errors import NotALink
from app.notifications.pages import CONTENT_POLICY, done_page, unsubscribe_page
from app.notifications.schemas import NoticeOut, PreferencesIn, PreferencesOut
from app.notifications.service.looking import NoticeDesk
from app.notifications.service.preferences import PreferenceService

router = APIRouter(prefix="/notifications", tags=["notifications"])

Desk = Annotated[NoticeDesk, provide(NoticeDesk)]
Preferences = Annotated[PreferenceService, provide(PreferenceService)]
Keeper = Annotated[Principal, needs(Permission.BILLING_WRITE)]
Token = Annotated[str, Query(min_length=1, max_length=1000)]


@router.get("", response_model=PageOut[NoticeOut], status_code=200)
async def list_notices(
    principal: Annotated[Principal, needs(Permission.AUDIT_READ)],
    desk: Desk,
    paging: Paging,
    state: NoticeState | None = None,
    kind: NoticeKind | None = None,
) -> PageOut[NoticeOut]:
    """What the people of your organization were told, the latest first."""
    page = await desk.list_for_organization(principal.organization, paging, state, kind)
    return PageOut.of(page, NoticeOut.of)


@router.get("/preferences", response_model=PreferencesOut, status_code=200)
async def get_notice_preferences(
    principal: CurrentPerson, preferences: Preferences
) -> PreferencesOut:
    """Which mails you do without in your current organization, and which there are."""
    return PreferencesOut.of(await preferences.of(principal.organization, principal.user_id))


@router.put("/preferences", response_model=PreferencesOut, status_code=200)
async def put_notice_preferences(
    body: PreferencesIn, principal: CurrentPerson, preferences: Preferences
) -> PreferencesOut:
    """Choose which mails you do without. What concerns the safety of your account always comes."""
    return PreferencesOut.of(
        await preferences.mute(principal.organization, principal.user_id, body.muted)
    )


@router.put("/preferences/organization", response_model=PreferencesOut, status_code=200)
async def put_organization_notice_preferences(
    body: PreferencesIn, principal: Keeper, preferences: Preferences
) -> PreferencesOut:
    """Choose which mails nobody in your organization gets. Endpoints are told all the same."""
    return PreferencesOut.of(
        await preferences.mute_for_everybody(principal.organization, principal.user_id, body.muted)
    )


@router.get("/unsubscribe", include_in_schema=False)
async def show_unsubscribe(token: Token) -> Response:
    """A page with a button: whoever only looks at a link, as mail scanners do, stops nothing."""
    return _page(unsubscribe_page(token))


@router.post(
    "/unsubscribe",
    response_model=MessageOut,
    status_code=200,
    dependencies=[limited_by_address("60/minute", "unsubscribe")],
)
async def unsubscribe(
    token: Token, preferences: Preferences, request: Request
) -> MessageOut | Response:
    """What the link in a mail does: no more mails of its kind to its reader (RFC 8058).

    A browser is shown a page, a mail program gets the same in JSON.
    """
    is_browser = "text/html" in request.headers.get("accept", "")
    try:
        kind = await preferences.unsubscribe(token)
    except NotALink as error:
        if is_browser:
            return _page(done_page("That link does nothing", error.message), 404)
        raise
    message = f"You get no more mails about {kind.value.replace('_', ' ')}."
    if is_browser:
        return _page(done_page("Done", f"{message} You can undo it in your preferences."))
    return MessageOut(success=True, message=message)


def _page(html: str, status_code: int = 200) -> Response:
    return Response(
        html,
        status_code,
        media_type="text/html",
        headers={"Content-Security-Policy": CONTENT_POLICY},
    )
