"""Any invoice adds up at every level, and a second opinion that shares no code says so too."""

from __future__ import annotations

import ast
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.support.any_invoice import AnyInvoice, any_invoice
from tests.support.long import EVERYTHING
from tools import verify_invoice as tool

SEED = 20_261_121
INVOICES = 10_000 if EVERYTHING else 150
CHANGES = 10_000 if EVERYTHING else 1_000
TOOL = Path(tool.__file__)
AMOUNTS = {"amount", "discount", "tax", "net", "total", "credit", "amount_due", "subtotal"}


def differences(text: str, previous: str | None = None) -> list[str]:
    """What the verifier names; that a proof cannot be read counts as well."""
    try:
        return list(tool.verify(text, previous)[1])
    except tool.WRONG as error:
        return [f"unreadable: {error}"]


def test_the_verifier_is_short_and_stands_alone() -> None:
    source = TOOL.read_text()
    assert len(source.splitlines()) < 300
    named = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    standard = {
        *("argparse", "csv", "datetime", "fractions", "hashlib", "io", "json", "pathlib", "sys")
    }
    assert named <= standard


@pytest.mark.timeout(900)
def test_any_invoice_adds_up_and_the_verifier_agrees() -> None:
    dice = random.Random(SEED)
    before: AnyInvoice | None = None
    kinds: set[str] = set()
    for place in range(1, INVOICES + 1):
        invoice = any_invoice(dice, place, before)
        adds_up(invoice)
        assert differences(invoice.text, before.text if before else None) == [], (SEED, place)
        kinds |= {line.kind.value for line in invoice.composed.bill.lines}
        before = invoice
    assert kinds == {"fee", "usage", "true_up", "adjustment"}


def adds_up(invoice: AnyInvoice) -> None:
    totals = invoice.composed.totals
    lines = totals.lines
    assert sum(line.amount.minor for line in lines) == totals.subtotal.minor
    assert sum(line.discount.minor for line in lines) == totals.discount.minor
    assert sum(line.tax.minor for line in lines) == totals.tax.minor
    assert sum(one.amount.minor for one in totals.discounts) == totals.discount.minor
    assert sum(one.amount.minor for one in totals.taxes) == totals.tax.minor
    assert totals.total.minor == totals.subtotal.minor - totals.discount.minor + totals.tax.minor
    assert 0 <= sum(one.amount.minor for one in invoice.credit) <= totals.total.minor


@pytest.fixture(scope="module")
def chain() -> list[AnyInvoice]:
    """Invoices in a row, each resting on the one before it."""
    dice = random.Random(SEED)
    found: list[AnyInvoice] = []
    for place in range(1, 31):
        found.append(any_invoice(dice, place, found[-1] if found else None))
    return found


def changed(dice: random.Random, text: str) -> str:
    """The file with one byte of it another one."""
    spelled = bytearray(text.encode())
    place = dice.randrange(len(spelled))
    spelled[place] ^= dice.choice([1, 2, 4, 8, 16, 32, 64, 128])
    return spelled.decode("utf-8", "replace")


def meant(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def is_noticed(text: str, previous: str) -> bool:
    """As `differences`, which looks at the hash first, and sooner."""
    try:
        _, said, hashed = tool.read_proof(text)
    except tool.WRONG:
        return True
    return said != hashed or bool(differences(text, previous))


@pytest.mark.timeout(900)
def test_every_byte_of_a_proof_counts(chain: list[AnyInvoice]) -> None:
    """A change is harmless if the file still says the same; nothing else goes unnoticed."""
    dice = random.Random(SEED)
    harmless = 0
    for _ in range(CHANGES):
        place = dice.randrange(1, len(chain))
        other = changed(dice, chain[place].text)
        if is_noticed(other, chain[place - 1].text):
            continue
        assert meant(other) == meant(chain[place].text), (SEED, other)
        harmless += 1
    assert harmless < CHANGES // 100


def without_hash(text: str, proof: dict[str, Any]) -> str:
    """The proof as somebody would forge it: hashed anew."""
    spelled = json.dumps(proof, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f'{{"hash":"{hashlib.sha256(spelled.encode()).hexdigest()}","proof":{spelled}}}'


def test_the_arithmetic_finds_figures_and_the_hash_the_rest(chain: list[AnyInvoice]) -> None:
    """Control: without the hash a changed name passes; without the arithmetic a figure would."""
    text = chain[5].text
    proof = json.loads(text)["proof"]
    proof["customer"]["name"] = "Somebody else"
    renamed = without_hash(text, proof)
    assert differences(renamed) == []
    assert differences(renamed.replace(json.loads(renamed)["hash"], chain[5].hash))
    # Whoever makes a proof anew has to make all that follow anew, too.
    assert differences(chain[6].text, renamed)
    for path in (("totals", "total"), ("totals", "amount_due"), ("totals", "tax")):
        proof = json.loads(text)["proof"]
        proof[path[0]][path[1]] += 1
        assert differences(without_hash(text, proof)), path


def test_every_amount_is_reckoned_again_though_the_hash_fits(chain: list[AnyInvoice]) -> None:
    """Each whole number that is an amount of money, one more or less and hashed anew, is found."""
    looked = 0
    for invoice in chain if EVERYTHING else chain[:6]:
        for place in range(len(amounts(json.loads(invoice.text)["proof"]))):
            proof = json.loads(invoice.text)["proof"]
            owner, name = amounts(proof)[place]
            owner[name] += 1
            assert differences(without_hash(invoice.text, proof)), (invoice.text, name)
            looked += 1
    assert looked > 100


def amounts(node: Any) -> list[tuple[dict[str, Any], str]]:
    found: list[tuple[dict[str, Any], str]] = []
    if isinstance(node, dict):
        for name, value in node.items():
            if name in AMOUNTS and type(value) is int:
                found.append((node, name))
            # What was billed before may be more than there is room to give back: then one more or
            # less changes nothing, and the hash alone knows.
            found += amounts(value) if name != "before" else []
    elif isinstance(node, list):
        for each in node:
            found += amounts(each)
    return found


def test_a_proof_that_says_something_twice_is_no_proof(chain: list[AnyInvoice]) -> None:
    text = chain[3].text
    total = json.loads(text)["proof"]["totals"]["total"]
    twice = text.replace('"totals":{', f'"totals":{{"total":{total + 1},')
    assert meant(twice) == meant(text), "most readers would not see it"
    assert differences(twice)
