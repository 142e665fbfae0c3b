"""Reads the service's own OpenAPI document: operations, and a body that fits a schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True)
class Operation:
    """One method of one path."""

    method: str
    path: str
    spec: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.method.upper()} {self.path}"

    @property
    def path_parameters(self) -> list[str]:
        return [
            item["name"] for item in self.spec.get("parameters", []) if item.get("in") == "path"
        ]

    @property
    def needs_caller(self) -> bool:
        return bool(self.spec.get("security"))


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield Operation(method, path, item[method])


def body_for(document: dict[str, Any], operation: Operation) -> dict[str, Any]:
    """Keyword arguments for httpx: a JSON body that the operation's schema accepts, or nothing."""
    content = operation.spec.get("requestBody", {}).get("content", {})
    media = content.get("application/json")
    if media is None:
        return {}
    return {"json": _example(document, media.get("schema", {}))}


def _example(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return _example(document, document["components"]["schemas"][name])
    for key in ("default", "const"):
        if key in schema and schema[key] is not None:
            return schema[key]
    if schema.get("examples"):
        return schema["examples"][0]
    if "enum" in schema:
        return schema["enum"][0]
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            options = [option for option in schema[key] if option.get("type") != "null"]
            return _example(document, options[0])
    kind = schema.get("type")
    if kind == "object" or "properties" in schema:
        return {
            name: _example(document, item)
            for name, item in schema.get("properties", {}).items()
            if name in schema.get("required", [])
        }
    if kind == "array":
        return [_example(document, schema.get("items", {}))] * max(1, schema.get("minItems", 1))
    if kind == "integer":
        return max(1, schema.get("minimum", 1))
    if kind == "number":
        return 1
    if kind == "boolean":
        return True
    return _text(schema)


def _text(schema: dict[str, Any]) -> str:
    match schema.get("format"):
        case "date-time":
            return "2026-11-21T09:00:00Z"
        case "email":
            return "somebody@example.com"
        case "uri":
            return "https://example.com/"
    pattern = schema.get("pattern", "")
    if pattern.startswith("^") and "_[0-7]" in pattern:
        return pattern[1 : pattern.index("_[0-7]")] + "_" + "0" * 26
    if pattern.startswith("^-?\\d"):
        return "1"
    return ("a-fitting-text-of-some-length" * 20)[: max(20, schema.get("minLength", 0))][
        : schema.get("maxLength", 100)
    ]
