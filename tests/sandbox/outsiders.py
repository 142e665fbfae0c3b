"""Programs of others that drive the sandbox; their tests are skipped where they are not at hand.

`make drivers` installs Stripe's command line and Stripe's SDK for Node below var/drivers.
"""

import os
import shutil
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_MODULES = Path(os.environ.get("STRIPE_DRIVERS", _ROOT / "var/drivers")) / "node_modules"


def stripe_cli() -> str | None:
    """Stripe's own command line: the one of STRIPE_CLI, an installed one, or one on the PATH."""
    installed = _MODULES / ".bin/stripe"
    named = os.environ.get("STRIPE_CLI")
    return named or (str(installed) if installed.exists() else shutil.which("stripe"))


def node_stripe() -> Path | None:
    """The folder of Stripe's SDK for Node, if Node is there to run it."""
    folder = _MODULES / "stripe"
    return folder if folder.exists() and shutil.which("node") else None
