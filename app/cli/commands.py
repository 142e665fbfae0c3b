"""The commands, each a line in `--help` and a call."""

from __future__ import annotations

import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from app.infra.settings import Settings
from app.kernel.words import counted

commands = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Runs the billing service. Everything is configured by the environment, see .env.example.",
)


def main() -> None:
    commands()


@commands.command()
def serve(
    *,
    sandbox: Annotated[
        bool, typer.Option(help="Outside production, stand in for Stripe when it has no key.")
    ] = True,
    end_with_parent: Annotated[
        bool, typer.Option("--end-with-parent", help="Stop when the process that started it dies.")
    ] = False,
) -> None:
    """Serve the API, with an embedded PostgreSQL and a Stripe sandbox where none is configured."""
    from app.cli.serve import serve_until_stopped

    code = serve_until_stopped(
        _settings(), with_sandbox=sandbox, with_parent=os.getppid() if end_with_parent else None
    )
    raise typer.Exit(code)


@commands.command()
def worker() -> None:
    """Run background jobs in this process, beside a `serve` with ARAGORA_JOBS=separate."""
    from app.cli.worker import work_until_stopped

    raise typer.Exit(work_until_stopped(_settings()))


@commands.command()
def migrate() -> None:
    """Bring the database to the newest schema; `serve` does so by itself when it starts."""
    from app.cli.database import database
    from app.infra.db.migrate import upgrade_now

    with database(_settings()) as url:
        upgrade_now(url)
    typer.echo("The database has the newest schema.")


@commands.command()
def create_operator(
    email: Annotated[str, typer.Argument(help="Address that the operator signs in with.")],
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            hide_input=True,
            envvar="ARAGORA_ADMIN_PASSWORD",
            help="Asked for where it is not set.",
        ),
    ],
) -> None:
    """Make a person an operator of the platform, with a new account where there is none."""
    from app.cli import operators
    from app.kernel.errors import BillingError

    try:
        is_operator = operators.create_operator(_settings(), email, password)
    except BillingError as refusal:
        typer.echo(str(refusal), err=True)
        raise typer.Exit(1) from None
    if not is_operator:
        typer.echo(f"{email} has an account with another password.", err=True)
        raise typer.Exit(1)
    typer.echo(f"{email} is an operator.")


@commands.command()
def import_people(
    file: Annotated[
        typer.FileText,
        typer.Argument(help="JSON lines with email, name and password_hash; - reads from stdin."),
    ],
) -> None:
    """Take over accounts with their hashes: argon2id, or `sha256$salt$hex(sha256(salt+password))`.

    An old hash is replaced by a strong one at the person's next sign-in.
    """
    from app.cli import people

    outcome = people.import_people(_settings(), file)
    typer.echo(f"{outcome.imported} imported, {outcome.known} had an account already.")
    for reason in outcome.refused:
        typer.echo(reason, err=True)
    if outcome.refused:
        raise typer.Exit(1)


@commands.command()
def doctor() -> None:
    """Look at everything that must always hold; the exit code is 1 where something does not."""
    from app.cli.doctor import examine
    from app.doctor.domain import CheckState

    report = examine(_settings())
    for finding in report.findings:
        typer.echo(f"{finding.state.value:>10}  {finding.check.name:45} {finding.check.sentence}")
        for example in finding.examples:
            typer.echo(f"{'':12}{example}", err=True)
    broken = sum(finding.state is not CheckState.OK for finding in report.findings)
    typer.echo(f"{counted(len(report.findings), 'check')}, {broken} not all right.")
    if broken:
        raise typer.Exit(1)


@commands.command()
def stripe_setup(
    webhook_url: Annotated[
        str | None,
        typer.Option(help="Where Stripe tells us; ARAGORA_PUBLIC_URL/api/v1/webhooks/stripe."),
    ] = None,
    metered: Annotated[
        list[str] | None,
        typer.Option(help="A price of use that the catalog leaves open: tokens_input=0.0003"),
    ] = None,
    portal_plans: Annotated[
        bool, typer.Option(help="Let customers change plans in Stripe's portal as well.")
    ] = False,
) -> None:
    """Put up products, prices, meters, portal and webhook at Stripe; again changes what differs.

    Prints the lines to set in the environment. The webhook's secret is among them the first time
    only: Stripe tells it once.
    """
    from app.cli.stripe_setup import SetupImpossible, set_up
    from app.kernel.errors import BillingError

    try:
        outcome = set_up(
            _settings(),
            webhook_url=webhook_url,
            metered=_amounts(metered or []),
            portal_plans=portal_plans,
        )
    except (SetupImpossible, BillingError) as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(1) from None
    for line in (*(f"made {made}" for made in outcome.made), *outcome.notes):
        typer.echo(line, err=True)
    for name, price_id in outcome.environment.items():
        typer.echo(f"{name}={price_id}")
    if outcome.secrets:
        typer.echo(f"STRIPE_WEBHOOK_SECRET={','.join(outcome.secrets)}")


def _amounts(given: list[str]) -> dict[str, Decimal]:
    found: dict[str, Decimal] = {}
    for one in given:
        name, _, amount = one.partition("=")
        try:
            found[name] = Decimal(amount)
        except ArithmeticError:
            raise typer.BadParameter(f"{one} is not like tokens_input=0.0003") from None
    return found


@commands.command()
def list_events() -> None:
    """List the months of usage events: what is archived, detached or attached, and how large."""
    from app.cli import storage

    typer.echo(f"{'':32}{'state':>10}{'events':>14}{'size':>12}")
    for each in storage.list_events(_settings()):
        size = "" if each.bytes is None else f"{each.bytes / 1e6:,.1f} MB"
        typer.echo(f"{each.name:32}{each.state:>10}{each.events:>14,}{size:>12}")


@commands.command()
def archive_events(
    month: Annotated[str, typer.Argument(help="Which month, for example 2024-05.")],
    folder: Annotated[
        Path, typer.Option("--to", help="An existing folder, where the file and its manifest go.")
    ],
    keep_months: Annotated[
        int, typer.Option(min=2, help="Refuse a month that is not over for so many months.")
    ] = 24,
) -> None:
    """Move a month of usage events to a file: detach, write, read back and compare, drop.

    Sums, quotas and invoices stay what they are. Run it again after a failure: it goes on where
    it stopped. A month with events that have no price is refused.
    """
    from app.cli import storage
    from app.kernel.errors import BillingError

    try:
        manifest = storage.archive_events(_settings(), month, folder, keep_months)
    except (BillingError, OSError, ValueError) as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(1) from None
    if manifest is None:
        typer.echo(f"There is nothing of {month} to archive.")
    else:
        file = folder / manifest["file"]
        typer.echo(f"Archived {counted(manifest['events'], 'event')} of {month} in {file}.")


@commands.command()
def attach_events(
    month: Annotated[str, typer.Argument(help="Which month, for example 2024-05.")],
) -> None:
    """Put a month back that `archive-events` detached and did not come to drop."""
    from app.cli import storage
    from app.kernel.errors import BillingError

    try:
        attached = storage.attach_events(_settings(), month)
    except (BillingError, ValueError) as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{month} is {'attached again' if attached else 'not detached'}.")


@commands.command()
def reconcile(
    customers: Annotated[int, typer.Option(min=1, help="How many to compare.")] = 200,
) -> None:
    """Take in what Stripe could not deliver, compare what we hold with what it holds, repair."""
    from app.cli.reconciling import reconcile_once
    from app.kernel.errors import BillingError

    try:
        report = reconcile_once(_settings(), customers)
    except BillingError as problem:
        typer.echo(str(problem), err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"Compared {counted(report.customers, 'customer')},"
        f" {counted(report.subscriptions, 'subscription')} and"
        f" {counted(report.invoices, 'invoice')};"
        f" read {counted(report.events, 'undelivered event')}."
    )
    for kind, count in report.by_kind.items():
        typer.echo(f"{kind:32}{count:>8}")
    if report.error is not None:
        typer.echo(f"Stopped early: {report.error}. The next run goes on from here.", err=True)
        raise typer.Exit(1)


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as problem:
        _refuse(problem)


def _refuse(problem: ValidationError) -> NoReturn:
    # The values stay out of it: one of them may be a secret.
    for error in problem.errors(include_input=False, include_url=False):
        name = ".".join(str(part) for part in error["loc"])
        typer.echo(
            f"{name + ': ' if name else ''}{error['msg'].removeprefix('Value error, ')}", err=True
        )
    sys.exit(2)
