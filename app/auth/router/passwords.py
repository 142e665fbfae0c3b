"""Passwords and the proof of an address."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter

from app.auth.schemas import (
    EmailVerificationIn,
    PasswordChangeIn,
    PasswordForgottenIn,
    PasswordResetIn,
)
from app.auth.service import PasswordService
from app.infra.http.idempotency import IdempotentRoute
from app.infra.http.principal import CurrentPerson
from app.infra.http.provide import provide
from app.infra.http.rate_limit import limited_by_address
from app.infra.http.schemas import MessageOut

router = APIRouter(prefix="/auth", tags=["auth"], route_class=IdempotentRoute)

Passwords = Annotated[PasswordService, provide(PasswordService)]


@router.post("/password/change")
async def change_password(
    body: PasswordChangeIn, principal: CurrentPerson, passwords: Passwords
) -> MessageOut:
    """Replace your password; every other device is signed out."""
    await passwords.change(
        principal, body.current_password.get_secret_value(), body.new_password.get_secret_value()
    )
    return MessageOut(success=True, message="Password changed; other sessions were ended")


@router.post("/password/forgot", dependencies=[limited_by_address("30/minute", "forgot")])
async def forget_password(body: PasswordForgottenIn, passwords: Passwords) -> MessageOut:
    """Have a link mailed that sets a new password. The answer is the same for every address."""
    await passwords.forget(body.email)
    return MessageOut(
        success=True, message="If there is an account with this address, a mail is on its way"
    )


@router.post("/password/reset", dependencies=[limited_by_address("30/minute", "reset")])
async def reset_password(body: PasswordResetIn, passwords: Passwords) -> MessageOut:
    """Set a new password with the token from the mail; every device is signed out."""
    await passwords.reset(body.token.get_secret_value(), body.new_password.get_secret_value())
    return MessageOut(success=True, message="Password set; sign in with it")


@router.post("/email/verify", dependencies=[limited_by_address("30/minute", "verify")])
async def verify_email(body: EmailVerificationIn, passwords: Passwords) -> MessageOut:
    """Prove your address with the token from the mail."""
    await passwords.verify_email(body.token.get_secret_value())
    return MessageOut(success=True, message="E-mail address verified")


@router.post("/email/verify/resend", status_code=202)
async def resend_email_verification(principal: CurrentPerson, passwords: Passwords) -> MessageOut:
    """Have the link mailed again."""
    await passwords.ask_to_verify_again(principal.user_id)
    return MessageOut(success=True, message="A mail is on its way")
