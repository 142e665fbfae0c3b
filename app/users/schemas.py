"""How people are written in requests."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints, WithJsonSchema

from app.users.domain import MAXIMUM_EMAIL_LENGTH, normalize_email

Email = Annotated[
    str,
    StringConstraints(max_length=MAXIMUM_EMAIL_LENGTH),
    AfterValidator(normalize_email),
    WithJsonSchema({"type": "string", "format": "email", "maxLength": MAXIMUM_EMAIL_LENGTH}),
]
"""An e-mail address, in the one spelling under which it is kept."""

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
"""What a person or an organization is called."""
