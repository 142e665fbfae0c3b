"""Event destinations: endpoints of either kind, as the second version of the API puts them up."""

from app.sandbox.config import API_VERSION
from app.sandbox.core import ids, thin
from app.sandbox.core.operations import Operation
from app.sandbox.core.params import (
    NOTHING,
    Doc,
    Fields,
    Many,
    Metadata,
    Spec,
    Text,
    Url,
    Whole,
    merged,
    one_of,
)
from app.sandbox.core.refusals import invalid, required
from app.sandbox.core.sandbox import Sandbox
from app.sandbox.nouns import webhook_endpoints

_KIND = "webhook_endpoint"
_URL = "webhook_endpoint.url"
_SECRET = "webhook_endpoint.signing_secret"  # noqa: S105 - the name of a field
_COMMON: dict[str, Spec] = {
    "description": Text(clears=True),
    "enabled_events": Many(Text(), most=500),
    "metadata": Metadata(),
    "name": Text(most=500),
    "webhook_endpoint": Fields({"url": Url()}, needs=("url",)),
}
_INCLUDE = Many(one_of(_URL))
CREATE = Fields(
    {
        **_COMMON,
        "event_payload": one_of("snapshot", "thin"),
        "include": Many(one_of(_URL, _SECRET)),
        "snapshot_api_version": Text(),
        "type": one_of("webhook_endpoint"),
    },
    needs=("enabled_events", "event_payload", "name", "type"),
)
UPDATE = Fields({**_COMMON, "include": _INCLUDE})


def create(sandbox: Sandbox, params: Doc) -> Doc:
    if "webhook_endpoint" not in params:
        raise required("webhook_endpoint")
    payload = params["event_payload"]
    _check(params["enabled_events"], payload)
    endpoint = webhook_endpoints.add(
        sandbox,
        params["webhook_endpoint"]["url"],
        params["enabled_events"],
        f"whsec_{ids.token(32)}",
        name=ids.new("ed_test"),
    )
    endpoint.update(
        api_version=params.get("snapshot_api_version", API_VERSION),
        description=params.get("description"),
        metadata=merged({}, params.get("metadata")),
        _payload=payload,
        _destination={"name": params["name"], "updated": sandbox.now()},
    )
    sandbox.save(endpoint)
    return _shown(endpoint, params.get("include", []))


def _check(events: list[str], payload: str) -> None:
    for n, type in enumerate(events):
        is_thin = type.startswith(("v1.", "v2."))
        if type != "*" and is_thin != (payload == "thin"):
            raise invalid(f"{type} cannot be sent as a {payload} event.", f"enabled_events[{n}]")


def _shown(endpoint: Doc, include: list[str]) -> Doc:
    payload = endpoint.get("_payload", "snapshot")
    destination = endpoint.get("_destination", {})
    there: Doc = {}
    if _URL in include:
        there["url"] = endpoint["url"]
    if _SECRET in include:
        there["signing_secret"] = endpoint["_secret"]
    return {
        "id": endpoint["id"],
        "object": "v2.core.event_destination",
        "created": thin.moment(endpoint["created"]),
        "description": endpoint["description"] or "",
        "enabled_events": endpoint["enabled_events"],
        "event_payload": "thin" if payload == "thin" else "snapshot",
        "events_from": ["self"],
        "livemode": False,
        "metadata": endpoint["metadata"],
        "name": destination.get("name") or endpoint["url"],
        "status": endpoint["status"],
        "type": "webhook_endpoint",
        "updated": thin.moment(destination.get("updated", endpoint["created"])),
        **({} if payload == "thin" else {"snapshot_api_version": endpoint["api_version"]}),
        **({"webhook_endpoint": there} if there else {}),
    }


def retrieve(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    return _shown(sandbox.get(_KIND, id), params.get("include", []))


def update(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    endpoint = sandbox.get(_KIND, id)
    if "enabled_events" in params:
        _check(params["enabled_events"], endpoint.get("_payload", "snapshot"))
        endpoint["enabled_events"] = params["enabled_events"]
    if "webhook_endpoint" in params:
        endpoint["url"] = params["webhook_endpoint"]["url"]
    if "description" in params:
        endpoint["description"] = params["description"] or None
    endpoint["metadata"] = merged(endpoint["metadata"], params.get("metadata"))
    _touch(sandbox, endpoint, params.get("name"))
    return _shown(endpoint, params.get("include", []))


def _touch(sandbox: Sandbox, endpoint: Doc, name: str | None = None) -> None:
    known = endpoint.get("_destination", {})
    endpoint["_destination"] = {"name": name or known.get("name"), "updated": sandbox.now()}
    sandbox.save(endpoint)


def disable(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    return _switch(sandbox, id, "disabled")


def enable(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    return _switch(sandbox, id, "enabled")


def _switch(sandbox: Sandbox, id: str, status: str) -> Doc:
    endpoint = sandbox.get(_KIND, id)
    endpoint["status"] = status
    _touch(sandbox, endpoint)
    return _shown(endpoint, [])


def delete(sandbox: Sandbox, params: Doc, id: str) -> Doc:
    webhook_endpoints.delete(sandbox, {}, id)
    return {"id": id, "object": "v2.core.event_destination", "deleted": True}


def list_(sandbox: Sandbox, params: Doc) -> Doc:
    """All on one page: an account has few of them."""
    include = params.get("include", [])
    found = [one for one in sandbox.all(_KIND) if not one.get("deleted")]
    return {
        "data": [_shown(one, include) for one in found],
        "next_page_url": None,
        "previous_page_url": None,
    }


_ALL = "/v2/core/event_destinations"
_ONE = f"{_ALL}/{{id}}"
_LIST = Fields({"include": _INCLUDE, "limit": Whole(least=1, most=100)})
_GET = Fields({"include": _INCLUDE})
_NAMES = "v2.core.EventDestination"
OPERATIONS = (
    Operation("POST", _ALL, create, CREATE, f"{_NAMES}CreateParams"),
    Operation("GET", _ALL, list_, _LIST, f"{_NAMES}ListParams"),
    Operation("GET", _ONE, retrieve, _GET, f"{_NAMES}RetrieveParams"),
    Operation("POST", _ONE, update, UPDATE, f"{_NAMES}UpdateParams"),
    Operation("POST", f"{_ONE}/disable", disable, NOTHING, f"{_NAMES}DisableParams"),
    Operation("POST", f"{_ONE}/enable", enable, NOTHING, f"{_NAMES}EnableParams"),
    Operation("DELETE", _ONE, delete, NOTHING, f"{_NAMES}DeleteParams"),
)
