"""House rules that a machine can keep."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.infra.db.repository import Repository
from app.wiring import FEATURES

ROOT = Path(__file__).resolve().parents[2]
APP = ROOT / "app"
SOURCES = sorted(APP.rglob("*.py"))

BANNED_NAMES = {"utils", "helpers", "common", "misc", "manager"}
MAX_SERVICE_LINES = 400
MAX_LINES = 450


def test_the_sources_are_found() -> None:
    assert len(SOURCES) > 30
    assert FEATURES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_a_name_a_docstring_and_a_size(path: Path) -> None:
    assert path.stem not in BANNED_NAMES
    assert path.stem != "base" or path.parent == APP / "infra" / "db"
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "every module says what it is for"
    in_service = path.stem == "service" or path.parent.name == "service"
    assert len(text.splitlines()) <= (MAX_SERVICE_LINES if in_service else MAX_LINES)


def features() -> Iterator[Path]:
    for path in sorted(APP.iterdir()):
        if path.is_dir() and (path / "__init__.py").exists() and path.name != "sandbox":
            yield path


@pytest.mark.parametrize(
    "package",
    [path for path in features() if path.name not in {"kernel", "infra", "gateways"}],
    ids=lambda path: path.name,
)
def test_a_feature_opens_with_its_constitution(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    for heading in ("Owns", "Leaves", "Always true"):
        assert heading in docstring, f"{package.name} says what it {heading.lower()}"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_repository_is_used_by_its_own_feature_alone(path: Path) -> None:
    package = path.relative_to(APP).parts[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if len(parts) >= 3 and parts[0] == "app" and parts[2].startswith("repository"):
                assert parts[1] == package, f"{node.module} is a private room"


def repositories() -> list[type[Repository]]:
    import app.main  # noqa: F401 - loads every feature

    found: list[type[Repository]] = []
    queue = list(Repository.__subclasses__())
    while queue:
        kind = queue.pop()
        found.append(kind)
        queue.extend(kind.__subclasses__())
    return [kind for kind in found if kind.__module__.startswith("app.")]


PLATFORM_SUFFIXES = ("_for_operators", "_for_platform", "_due")


def test_a_repository_method_that_reads_a_tenants_rows_takes_the_tenant_first() -> None:
    """A repository of platform tables says `platform = True`; a single method says so by name."""
    wrong: list[str] = []
    for kind in repositories():
        if kind.platform:
            continue
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if name.startswith("_") or method.__qualname__.startswith("Repository."):
                continue
            if name.endswith(PLATFORM_SUFFIXES) or name == "add":
                continue
            parameters = list(inspect.signature(method).parameters.values())[1:]
            first = parameters[0] if parameters else None
            if first is None or first.name != "organization_id":
                wrong.append(f"{kind.__name__}.{name}")
    assert not wrong, wrong
