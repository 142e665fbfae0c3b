"""CloudEvents 1.0, structured and in batches, read as usage events.

`id` is the event's id, `time` its `occurred_at`, `subject` its `user_id`; the last part of a dotted
`type` is its type (`com.example.debate` is a `debate`); `source` is kept in the metadata; `data`
holds every other field.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.kernel.errors import Malformed

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


class CloudEventMalformed(Malformed):
    """This is no CloudEvent 1.0 about usage: {what}."""

    code = "cloud_event_malformed"


def is_cloud_event(content_type: str) -> bool:
    return content_type.split(";", 1)[0].strip().lower() in {SINGLE, BATCH}


def native(event: Any) -> dict[str, Any]:
    """The usage event that a CloudEvent stands for. Raises `CloudEventMalformed`."""
    if not isinstance(event, Mapping):
        raise CloudEventMalformed(what="it is no object")
    if event.get("specversion") != "1.0":
        raise CloudEventMalformed(what="specversion is not 1.0")
    for name in ("id", "source", "type"):
        if not isinstance(event.get(name), str) or not event[name]:
            raise CloudEventMalformed(what=f"{name} is missing")
    data = event.get("data") or {}
    if not isinstance(data, Mapping):
        raise CloudEventMalformed(what="data is no JSON object")
    if "data_base64" in event:
        raise CloudEventMalformed(what="data is not JSON")
    metadata = data.get("metadata") or {}
    found = {"user_id": event.get("subject"), "occurred_at": event.get("time"), **data}
    return {
        **found,
        "id": event["id"],
        "type": event["type"].rsplit(".", 1)[-1],
        "metadata": {"source": event["source"], **metadata}
        if isinstance(metadata, Mapping)
        else metadata,
    }
