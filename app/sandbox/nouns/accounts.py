"""The account itself."""

from app.sandbox.core.operations import Operation
from app.sandbox.core.params import NOTHING, Doc
from app.sandbox.core.sandbox import Sandbox


def retrieve(sandbox: Sandbox, params: Doc) -> Doc:
    return {
        "id": "acct_sandbox",
        "object": "account",
        "business_profile": None,
        "business_type": None,
        "charges_enabled": True,
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "sandbox@example.com",
        "metadata": {},
        "payouts_enabled": True,
        "type": "standard",
    }


OPERATIONS = (Operation("GET", "/v1/account", retrieve, NOTHING, "AccountRetrieveParams"),)
