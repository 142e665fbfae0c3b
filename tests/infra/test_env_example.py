"""What people read about settings is what the settings class reads from the environment."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.infra.settings import Settings

ROOT = Path(__file__).parents[2]
FIELDS = {str(field.validation_alias): field for field in Settings.model_fields.values()}
# Set by `serve` for the processes it starts, never by people.
INTERNAL = {"ARAGORA_DATABASE_EMBEDDED"}
LINE = re.compile(r"^#?([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def example() -> dict[str, str]:
    return dict(LINE.findall((ROOT / ".env.example").read_text()))


def as_text(field: FieldInfo) -> str:
    default = field.default
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, SecretStr) or default in (None, ()):
        return ""
    return str(default)


def test_the_example_names_every_setting_and_no_other() -> None:
    assert set(example()) == set(FIELDS) - INTERNAL


def test_the_example_shows_the_defaults() -> None:
    shown = example()
    assert shown == {name: as_text(FIELDS[name]) for name in shown}


def test_the_example_uncommented_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in FIELDS:
        monkeypatch.delenv(name, raising=False)
    uncommented = tmp_path / ".env"
    uncommented.write_text("\n".join(f"{name}={value}" for name, value in example().items()))
    plain = Settings(_env_file=None)
    assert Settings(_env_file=uncommented) == plain


def test_the_documentation_has_a_row_for_every_setting_and_no_other() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `([A-Z][A-Z0-9_]*)` \|", text, re.MULTILINE)
    assert sorted(rows) == sorted(FIELDS)
