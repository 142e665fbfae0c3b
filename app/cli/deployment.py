"""What one `serve` runs: started in order, told to one another, watched, stopped in reverse."""

from __future__ import annotations

import http.client
import os
import secrets
import threading
import time
from collections.abc import Sequence

import structlog
from prometheus_client import multiprocess
from sqlalchemy.exc import DBAPIError

from app.catalog.document import StripePriceIds, catalog_of, read_catalog
from app.catalog.errors import CatalogFileWrong
from app.cli.banner import show_banner
from app.cli.database import NAME, embedded
from app.cli.handover import forget_environment, remember_environment
from app.cli.processes import Child
from app.cli.sandbox import BundledStripe, SandboxFailed
from app.infra.db.migrate import upgrade_now
from app.infra.postgres.binaries import NoUsablePostgres
from app.infra.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresFailed
from app.infra.settings import Settings

log = structlog.get_logger(__name__)

_WATCH_SECONDS = 0.5
# More than an API process takes to drain, so that none is killed while it does.
_STOP_SECONDS = 25.0
_READY_SECONDS = 120.0


class DeploymentFailed(RuntimeError):
    """The service could not be started; the text tells a person what to do."""


class Deployment:
    """The processes beside and behind the API, and the environment they share.

    The API processes and the sandbox are given already started: they load while the database
    comes up. The API begins to serve when it is told the environment.
    """

    def __init__(
        self,
        settings: Settings,
        port: int,
        apis: Sequence[Child],
        stripe: BundledStripe | None,
        stop: threading.Event,
        parent: int | None,
    ) -> None:
        self._settings = settings
        self._port = port
        self._apis = apis
        self._stripe = stripe
        self._stop = stop
        self._parent = parent
        self._added = {"ARAGORA_PORT": str(port)}
        self._postgres: EmbeddedPostgres | None = None

    def run(self) -> None:
        """Bring everything up and watch it until told to stop; raises `DeploymentFailed`."""
        try:
            self._prepare()
        except (
            CatalogFileWrong,
            EmbeddedPostgresFailed,
            NoUsablePostgres,
            SandboxFailed,
            DBAPIError,
            OSError,
        ) as problem:
            raise DeploymentFailed(str(problem)) from problem
        for api in self._apis:
            api.tell(self._added)
        if self._becomes_ready():
            own_secret = "ARAGORA_JWT_SECRET" in self._added
            show_banner(self._told_settings(), self._public_url, own_secret=own_secret)
            self._watch()

    def close(self) -> None:
        """Stop everything: the API first, the database last."""
        for api in self._apis:
            api.ask_to_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        for api in self._apis:
            api.wait_stopped(max(0.0, deadline - time.monotonic()))
        if self._stripe is not None:
            self._stripe.stop()
        if self._postgres is not None:
            self._postgres.stop()
        forget_environment(self._settings.data_dir, self._added)

    # Starting

    def _prepare(self) -> None:
        settings = self._settings
        catalog = catalog_of(read_catalog(settings.catalog), StripePriceIds())
        if settings.jwt_secret is None:
            # Made here rather than in each API process, or their tokens would not be each other's.
            self._added["ARAGORA_JWT_SECRET"] = secrets.token_urlsafe(32)
        self._bring_up_database()
        if self._stripe is not None:
            webhook_url = f"{self._local_url}/api/v1/webhooks/stripe"
            environment = self._stripe.prepare(catalog, webhook_url)
            # Secrets that were configured stay: their owner may sign events, too.
            configured = [s.get_secret_value() for s in settings.stripe_webhook_secrets]
            together = [*configured, environment["STRIPE_WEBHOOK_SECRET"]]
            self._added |= {**environment, "STRIPE_WEBHOOK_SECRET": ",".join(together)}
        remember_environment(settings.data_dir, self._added)

    def _bring_up_database(self) -> None:
        if self._settings.database_url is not None:
            url = self._settings.database_url.get_secret_value()
        else:
            self._postgres = embedded(self._settings)
            self._postgres.start()
            self._postgres.ensure_database(NAME)
            url = self._postgres.url(NAME)
            self._added |= {"DATABASE_URL": url, "ARAGORA_DATABASE_EMBEDDED": "true"}
        upgrade_now(url)

    def _becomes_ready(self) -> bool:
        """Wait for the first answer; False when told to stop before it."""
        deadline = time.monotonic() + _READY_SECONDS
        while not self._stop.wait(0.05):
            if self._answers_ready():
                return True
            died = [api.name for api in self._apis if api.exit_code() is not None]
            if died:
                raise DeploymentFailed(f"{' and '.join(died)} ended while starting, see above.")
            if time.monotonic() > deadline:
                raise DeploymentFailed(f"Not ready after {_READY_SECONDS:.0f} seconds.")
        return False

    def _answers_ready(self) -> bool:
        connection = http.client.HTTPConnection(self._local_host, self._port, timeout=3)
        try:
            connection.request("GET", "/health/ready")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    # Watching

    def _watch(self) -> None:
        while not self._stop.wait(_WATCH_SECONDS) and self._parent in (None, os.getppid()):
            for api in self._apis:
                died = api.look_after()
                if died is not None and self._settings.workers > 1:
                    folder = self._settings.data_dir.absolute() / "metrics"
                    multiprocess.mark_process_dead(died, str(folder))  # type: ignore[no-untyped-call]
            if self._stripe is not None:
                self._stripe.look_after()
            if self._postgres is not None and not self._postgres.is_running():
                _revive(self._postgres)
        log.info("serve.stopping")

    # Names

    def _told_settings(self) -> Settings:
        """Give the settings as the API processes have them."""
        names = {field.validation_alias: name for name, field in Settings.model_fields.items()}
        added = {names[alias]: value for alias, value in self._added.items()}
        return Settings.model_validate({**self._settings.model_dump(), **added})

    @property
    def _local_host(self) -> str:
        host = self._settings.host
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104

    @property
    def _local_url(self) -> str:
        host = f"[{self._local_host}]" if ":" in self._local_host else self._local_host
        return f"http://{host}:{self._port}"

    @property
    def _public_url(self) -> str:
        return (self._settings.public_url or self._local_url).rstrip("/")


def _revive(postgres: EmbeddedPostgres) -> None:
    log.error("serve.postgres_died")
    try:
        postgres.start()
    except EmbeddedPostgresFailed as problem:
        log.error("serve.postgres_not_back", problem=str(problem))  # the next look tries again
    else:
        log.info("serve.postgres_back")
