"""People and keys are shown as the API names them."""

from uuid import UUID

import pytest

from app.infra.http.schemas import shown_actor
from app.kernel.ids import encode_id

ONE = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


@pytest.mark.parametrize(
    ("actor", "shown"),
    [
        (f"user:{ONE}", encode_id("usr", ONE)),
        (f"key:{ONE}", encode_id("key", ONE)),
        ("system", "system"),
        ("cli:grant", "cli:grant"),
        ("user:nobody", "user:nobody"),
    ],
)
def test_an_actor_is_shown_by_its_public_id(actor: str, shown: str) -> None:
    assert shown_actor(actor) == shown
