"""`expand[]`: answers with the objects in place of their ids."""

from collections.abc import Callable
from typing import Any

from app.sandbox.core.params import Doc
from app.sandbox.core.refusals import Refusal
from app.sandbox.core.sandbox import Sandbox, public

Includable = Callable[[Sandbox, Doc], Any]
_AMBIGUOUS = {"product": "product", "coupon": "coupon"}
"""Fields whose ids callers choose, so that an id alone does not say what it is."""
_DEEPEST = 4
"""How many properties a path may name; the `data` of a list is one of them."""


def expanded(
    sandbox: Sandbox,
    doc: Doc,
    paths: list[str],
    includable: dict[tuple[str, str], Includable],
) -> Doc:
    """A public copy of *doc* with every path opened."""
    answer: Doc = public(doc)
    for path in paths:
        steps = path.split(".")
        if len(steps) > _DEEPEST:
            raise _refused(path)
        _open(sandbox, answer, steps, path, includable)
    return answer


def _open(
    sandbox: Sandbox,
    node: Any,
    steps: list[str],
    path: str,
    includable: dict[tuple[str, str], Includable],
) -> None:
    if isinstance(node, list):
        for entry in node:
            _open(sandbox, entry, steps, path, includable)
        return
    if not steps or node is None:
        return
    if not isinstance(node, dict):
        raise _refused(path)
    head, rest = steps[0], steps[1:]
    include = includable.get((str(node.get("object")), head))
    if include is not None and not isinstance(node.get(head), dict):
        node[head] = public(include(sandbox, node))
    elif head not in node:
        if node.get("deleted"):
            return
        raise _refused(path)
    elif isinstance(node[head], str):
        node[head] = _resolve(sandbox, head, node[head], path)
    elif isinstance(node[head], list):
        node[head] = [
            _resolve(sandbox, head, entry, path) if isinstance(entry, str) else entry
            for entry in node[head]
        ]
    elif not rest and isinstance(node[head], int | float | bool):
        raise _refused(path)
    _open(sandbox, node[head], rest, path, includable)


def _resolve(sandbox: Sandbox, field: str, id: str, path: str) -> Doc:
    kind = _AMBIGUOUS.get(field)
    found = sandbox.find(kind, id) if kind else sandbox.find_any(id)
    if found is None:
        raise _refused(path)
    copy: Doc = public(found)
    return copy


def _refused(path: str) -> Refusal:
    return Refusal(f"This property cannot be expanded ({path}).", param="expand")
