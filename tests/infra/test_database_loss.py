"""What counts as a Postgres that is away."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from app.infra.http.problems import is_database_loss


async def test_a_missing_socket_is_a_postgres_that_is_away(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        await asyncpg.connect(host=str(tmp_path), user="any", database="any")
    assert is_database_loss(missing.value)


def test_any_other_missing_file_is_a_fault_of_ours(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "template.html").read_text()
    assert not is_database_loss(missing.value)
