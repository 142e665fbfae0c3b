"""`/auth`: signing in, devices, keys."""

from fastapi import APIRouter

from app.auth.router import api_keys, browser, passwords, sessions, sign_in

router = APIRouter()
for part in (
    sign_in.router,
    sessions.router,
    browser.router,
    passwords.router,
    api_keys.router,
):
    router.include_router(part)

__all__ = ["router"]
