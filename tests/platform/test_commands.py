"""What an operator types beside `serve`."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import URL

from app.kernel.clock import ManualClock
from tests.support.process import ROOT
from tests.support.service import TEST_SECRET, running

PASSWORD = "four words nobody guesses"


def command(url: URL, home: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={
            "PYTHONPATH": str(ROOT),
            "DATABASE_URL": url.render_as_string(hide_password=False),
            "ARAGORA_DATA_DIR": str(home),
            "ARAGORA_JWT_SECRET": TEST_SECRET,
            **env,
        },
        cwd=home,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


async def test_an_operator_is_made_once_and_can_sign_in(
    fresh_url: URL, tmp_path: Path, clock: ManualClock
) -> None:
    for _ in range(2):
        made = command(
            fresh_url,
            tmp_path,
            "create-operator",
            "boss@example.com",
            ARAGORA_ADMIN_PASSWORD=PASSWORD,
        )
        assert (made.returncode, made.stderr) == (0, "")

    async with running(fresh_url, clock) as service, service.client() as client:
        credentials = {"email": "boss@example.com", "password": PASSWORD}
        signed_in = await client.post("/api/v1/auth/login", json=credentials)
        token = signed_in.json()["access_token"]
        me = await client.get("/api/v1/auth/me", headers={"Authorization": f"Bearer {token}"})
    assert me.json()["is_operator"] is True


async def test_an_account_with_another_password_is_not_promoted(
    fresh_url: URL, tmp_path: Path, clock: ManualClock
) -> None:
    async with running(fresh_url, clock) as service, service.client() as client:
        taken = {"email": "boss@example.com", "password": PASSWORD, "name": "Somebody Else"}
        (await client.post("/api/v1/auth/register", json=taken)).raise_for_status()

    refused = command(
        fresh_url,
        tmp_path,
        "create-operator",
        "boss@example.com",
        ARAGORA_ADMIN_PASSWORD="another long password",
    )

    assert refused.returncode == 1
    assert "another password" in refused.stderr


async def test_people_are_imported_with_their_old_hashes(
    fresh_url: URL, tmp_path: Path, clock: ManualClock
) -> None:
    digest = hashlib.sha256(("5f2a9c01" + PASSWORD).encode()).hexdigest()
    old = {"email": "ada@example.com", "name": "Ada", "password_hash": f"sha256$5f2a9c01${digest}"}
    lines = [old, {**old, "email": "eve@example.com", "password_hash": digest}]
    file = tmp_path / "people.jsonl"
    file.write_text("\n".join([*map(json.dumps, lines), "nonsense"]))

    first = command(fresh_url, tmp_path, "import-people", str(file))
    assert first.stdout.splitlines()[-1] == "1 imported, 0 had an account already."
    assert first.returncode == 1
    assert [line.partition(":")[0] for line in first.stderr.splitlines()] == ["line 2", "line 3"]
    assert digest not in first.stderr
    second = command(fresh_url, tmp_path, "import-people", str(file))
    assert second.stdout.splitlines()[-1] == "0 imported, 1 had an account already."

    async with running(fresh_url, clock) as service, service.client() as client:
        credentials = {"email": "ada@example.com", "password": PASSWORD}
        signed_in = await client.post("/api/v1/auth/login", json=credentials)
    assert signed_in.status_code == 200


@pytest.mark.parametrize("name", ["serve", "create-operator"])
def test_a_setting_that_cannot_be_read_is_named_and_not_shown(name: str, tmp_path: Path) -> None:
    arguments = [name, "boss@example.com"] if name == "create-operator" else [name]
    refused = command(
        URL.create("postgresql", database="nowhere"),
        tmp_path,
        *arguments,
        ARAGORA_PORT="not-to-be-shown",
        ARAGORA_ADMIN_PASSWORD=PASSWORD,
    )
    assert refused.returncode == 2
    assert "ARAGORA_PORT" in refused.stderr
    assert "not-to-be-shown" not in refused.stderr + refused.stdout
