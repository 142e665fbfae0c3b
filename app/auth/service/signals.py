"""What other processes hear when a token, session or key has ended."""

from uuid import UUID


def token_signal(token_id: str) -> str:
    return f"token:{token_id}"


def session_signal(session_id: UUID) -> str:
    return f"session:{session_id}"


def key_signal(key_id: UUID) -> str:
    return f"key:{key_id}"
