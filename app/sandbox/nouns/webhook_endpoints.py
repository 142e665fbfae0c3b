"""Webhook endpoints."""

from app.sandbox.config import API_VERSION
from app.sandbox.core import ids
from app.sandbox.core.lists import page
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Flag,
    Many,
    Metadata,
    Spec,
    Text,
    Url,
    listing,
    merged,
    one_of,
)
from app.sandbox.core.refusals import invalid
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.core.versions import VERSIONS

_COMMON: dict[str, Spec] = {
    "description": Text(clears=True),
    "enabled_events": Many(Text(), most=400),
    "metadata": Metadata(),
    "url": Url(),
}
CREATE = Fields(
    {**_COMMON, "api_version": one_of(*VERSIONS, API_VERSION)}, needs=("enabled_events", "url")
)
UPDATE = Fields({**_COMMON, "disabled": Flag()})


def create(sandbox: Sandbox, params: Doc) -> Doc:
    """The secret is told here and never again."""
    _refuse_thin(params)
    endpoint = add(sandbox, params["url"], params["enabled_events"], f"whsec_{ids.token(32)}")
    endpoint["api_version"] = params.get("api_version", API_VERSION)
    endpoint["description"] = params.get("description")
    endpoint["metadata"] = merged({}, params.get("metadata"))
    sandbox.save(endpoint)
    return {**endpoint, "secret": endpoint["_secret"]}


def _refuse_thin(params: Doc) -> None:
    for n, type in enumerate(params.get("enabled_events", [])):
        if type.startswith(("v1.", "v2.")):
            raise invalid(
                f"Invalid enabled_events[{n}]: {type} is a thin event; it takes an event "
                "destination.",
                f"enabled_events[{n}]",
            )


def rotate(sandbox: Sandbox, endpoint: Doc, secret: str, seconds: int) -> Doc:
    """Give an endpoint a new secret; the old one signs beside it for a while."""
    until = int(sandbox.real_now()) + seconds
    earlier = endpoint.get("_earlier_secrets", [])
    endpoint["_earlier_secrets"] = [[endpoint["_secret"], until], *earlier]
    endpoint["_secret"] = secret
    return sandbox.save(endpoint)


def add(
    sandbox: Sandbox, url: str, events: list[str], secret: str, *, name: str | None = None
) -> Doc:
    """Put up an endpoint with a secret of one's own choosing."""
    return sandbox.add(
        {
            "id": name or ids.new("we"),
            "object": "webhook_endpoint",
            "api_version": API_VERSION,
            "application": None,
            "created": sandbox.now(),
            "description": None,
            "enabled_events": events,
            "livemode": False,
            "metadata": {},
            "status": "enabled",
            "url": url,
            "_secret": secret,
        }
    )


def retrieve(sandbox: Sandbox, params: Doc, webhook_endpoint: str) -> Doc:
    return sandbox.get("webhook_endpoint", webhook_endpoint, "webhook_endpoint")


def update(sandbox: Sandbox, params: Doc, webhook_endpoint: str) -> Doc:
    _refuse_thin(params)
    endpoint = sandbox.get("webhook_endpoint", webhook_endpoint, "webhook_endpoint")
    for key in ("url", "enabled_events"):
        endpoint[key] = params.get(key, endpoint[key])
    if "description" in params:
        endpoint["description"] = params["description"] or None
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    endpoint["metadata"] = merged(endpoint["metadata"], params.get("metadata"))
    return sandbox.save(endpoint)


def delete(sandbox: Sandbox, params: Doc, webhook_endpoint: str) -> Doc:
    sandbox.get("webhook_endpoint", webhook_endpoint, "webhook_endpoint")
    gone = {"id": webhook_endpoint, "object": "webhook_endpoint", "deleted": True}
    return sandbox.save(gone)


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    # Thin destinations are known to the second version of the API only.
    old = ("coalesce(json_extract(doc, '$._payload'), 'snapshot') != ?", "thin")
    return page(sandbox, "webhook_endpoint", "/v1/webhook_endpoints", params, [old])


_ONE = "/v1/webhook_endpoints/{webhook_endpoint}"
OPERATIONS = (
    Operation("POST", "/v1/webhook_endpoints", create, CREATE, "WebhookEndpointCreateParams"),
    Operation("GET", "/v1/webhook_endpoints", list_, listing(), "WebhookEndpointListParams"),
    Operation("GET", _ONE, retrieve, NOTHING, "WebhookEndpointRetrieveParams"),
    Operation("POST", _ONE, update, UPDATE, "WebhookEndpointUpdateParams"),
    Operation("DELETE", _ONE, delete, NOTHING, "WebhookEndpointDeleteParams"),
)
