"""Every way the sandbox says no, in Stripe's own error shape."""

from typing import Any


class Refusal(Exception):
    """An answer that is an error; nothing the call did is kept, unless it says so."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        keeps_changes: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.keeps_changes = keeps_changes
        error: dict[str, Any] = {"type": type, "message": message, "code": code, "param": param}
        error.update(more)
        self.error = {key: value for key, value in error.items() if value is not None}

    def body(self) -> dict[str, Any]:
        return {"error": self.error}


def missing(label: str, id: str, param: str) -> Refusal:
    """There is no such object."""
    return Refusal(f"No such {label}: '{id}'", status=404, code="resource_missing", param=param)


def missing_reference(label: str, id: str, param: str) -> Refusal:
    """A parameter names an object that does not exist."""
    return Refusal(f"No such {label}: '{id}'", code="resource_missing", param=param)


def required(param: str) -> Refusal:
    return Refusal(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown(param: str, hint: str = "") -> Refusal:
    return Refusal(
        f"Received unknown parameter: {param}{hint}", code="parameter_unknown", param=param
    )


def invalid(message: str, param: str | None = None, code: str | None = None) -> Refusal:
    return Refusal(message, param=param, code=code)


def wrong_state(message: str, code: str | None = None) -> Refusal:
    """The object is not in a state in which this can be done."""
    return Refusal(message, code=code)


def card_declined(error: dict[str, Any], *, keeps_changes: bool = False) -> Refusal:
    """A card said no; *error* is what the payment intent keeps as its last payment error."""
    known = {key: error[key] for key in ("message", "code") if key in error}
    more = {k: v for k, v in error.items() if k not in ("message", "code", "type")}
    return Refusal(
        known.get("message", "Your card was declined."),
        status=402,
        type="card_error",
        code=known.get("code"),
        keeps_changes=keeps_changes,
        **more,
    )
