"""What `users` refuses."""

from app.kernel.errors import Conflict, Malformed, NotAuthenticated, NotFound


class UserNotFound(NotFound):
    """There is no such person."""

    code = "user_not_found"


class EmailTaken(Conflict):
    """Somebody has registered with this e-mail address already."""

    code = "email_taken"


class WeakPassword(Malformed):
    """Choose another password: {reason}."""

    code = "weak_password"
    shown = ("reason",)


class UnknownHash(Malformed):
    """A password hash is argon2id, or `sha256$salt$digest` in lower-case hex."""

    code = "unknown_hash"


class InvalidCredentials(NotAuthenticated):
    """E-mail address or password is wrong."""

    code = "invalid_credentials"
