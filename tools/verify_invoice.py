#!/usr/bin/env python3
"""Reckons an invoice up again from its proof: every step, share and cent, and the hash.

    verify_invoice.py PROOF [--previous PROOF] [--events EXPORT]

PROOF is the answer of `GET /api/v1/billing/invoices/{id}/proof`, --previous that of the invoice before it, EXPORT
that of `GET /api/v1/usage/events/export` over the proof's periods, NDJSON or CSV. Exit code 0: all of it agrees.
1: something differs, and is named. 2: a file cannot be read. Python 3.9 or later is all it takes. See docs/proof.md.
"""

import argparse
import csv
import io
import json
import sys
from datetime import datetime, timedelta
from fractions import Fraction as F
from hashlib import sha256
from pathlib import Path

NO_CENTS = "bif clp djf gnf isk jpy kmf krw pyg rwf ugx uyi vnd vuv xaf xof xpf"
MILLS = "bhd iqd jod kwd lyd omr tnd"
READ, WRITTEN = ("input", "cache_read", "cache_write"), ("output",)
ROLES = {"tokens": READ + WRITTEN, "tokens_in": READ, "tokens_out": WRITTEN}
COLUMN = {"tokens": "tokens_in", "input": "tokens_in", "output": "tokens_out"}
COLUMN.update(cache_read="cached_tokens", cache_write="cache_write_tokens")
BASE_32 = str.maketrans("0123456789abcdefghjkmnpqrstvwxyz", "0123456789abcdefghijklmnopqrstuv")
SUMS = ["tokens_in", "cached_tokens", "cache_write_tokens", "tokens_out", "reasoning_tokens"]
MOMENT = timedelta(seconds=60)  # what was under way, and clocks of several machines
WRONG = (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError)


class Findings(list):
    def same(self, what, said, found):
        if said != found:
            self.append(f"{what}: {said!r} is said, it comes to {found!r}")


def verify(proof, previous=None, events=None):
    """The proof and what is wrong with it. Raises one of WRONG where it cannot be read."""
    seen, (proof, *hashes) = Findings(), read_proof(proof)
    seen.same("the hash", *hashes)
    seen.same("the version", proof["version"], 1)
    check_chain(seen, proof, read_proof(previous) if previous is not None else None)
    check_lines(seen, proof)
    check_totals(seen, proof)
    if events is not None:
        check_events(seen, proof, read_events(events))
    return proof, seen


def read_proof(text):
    def once(pairs):  # where a name stands twice, nothing counts
        return dict(pairs) if len(dict(pairs)) == len(pairs) else None

    both = json.loads(text, object_pairs_hook=once, parse_float=int, parse_constant=int)  # int refuses both
    spelled = json.dumps(both["proof"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return both["proof"], both["hash"], sha256(spelled.encode("utf-8", "replace")).hexdigest()


def check_chain(seen, proof, before):
    named, (series, _, place) = proof["previous"], proof["number"].rpartition("-")
    if named is not None:
        seen.same("the number before", named["number"], f"{series}-{int(place) - 1:06}")
    if before is not None:
        seen.same("the hash of the proof before", *before[1:])
        seen.same("the link", named, {"number": before[0]["number"], "hash": before[1]})


def check_lines(seen, proof):
    """Rate each window again, take off what was billed before, and compare with the lines."""
    lines, differences, currency = [], [], proof["currency"]
    digits = 0 if currency in NO_CENTS.split() else 3 if currency in MILLS.split() else 2
    seen.same("digits", proof["digits"], digits)
    for place, window in enumerate(proof["windows"]):
        found, period = charges(seen, window, currency, digits), window["period"]
        for one in found:
            one.update(exact=decimal(one["worth"]), amount=rounded(one.pop("worth"), digits))
        short = [{name: one[name] for name in one if name != "steps"} for one in found]
        seen.same(f"charges of {period['start']}", window["charges"], short)
        due = {one["key"]: one["amount"] for one in found if place}
        before = {one["key"]: one["amount"] for one in window["before"]}
        lines += [{**one, "period": proof["period"]} for one in found if not place]
        for key in {**due, **before}:
            more = {"amount": due.get(key, 0) - before.get(key, 0), "period": period}
            differences.append({"kind": "adjustment", "key": key, "exact": None, "steps": [], **more})
    room = max(sum(one["amount"] for one in lines) + sum(max(one["amount"], 0) for one in differences), 0)
    for one in differences:  # no more goes back than the rest asks for
        one["amount"] = max(one["amount"], -room)
        room += min(one["amount"], 0)
    lines += [one for one in differences if one["amount"]]
    seen.same("the number of lines", len(proof["lines"]), len(lines))
    for place, (line, one) in enumerate(zip(proof["lines"], lines)):
        for name, value in {"index": place, **one}.items():
            seen.same(f"line {place}, {line['key']}: {name}", line[name], value)


def charges(seen, window, currency, digits):
    """What a window comes to: fees by the second, then what each plan charges for usage."""
    found = []
    for fee in window["fees"]:
        times = [window["period"]["start"], fee["used"]["start"], fee["used"]["end"], window["period"]["end"]]
        seen.same("the fee is for a time within its window", times, sorted(times, key=at))
        found.append(("fee", fee["key"], F(fee["amount"]) * seconds(fee["used"]) / seconds(fee["of"]), []))
    for part in window["parts"]:
        usage = [row for stretch in part["usage"] for row in stretch["rows"]]
        for kind, key, exact, steps in charges_of_part(seen, part, usage, currency, digits):
            found.append((kind, part["prefix"] + key, exact, steps))
    return [dict(zip(("kind", "key", "worth", "steps"), one)) for one in found]


def charges_of_part(seen, terms, usage, currency, digits):
    found, costs = [], {}
    for item, split in [(one, bool(one["dimensions"])) for one in terms["metered"]]:
        key, parts, roles = f"metric:{item['metric']}", {}, ROLES.get(item["figure"], ("",))
        rows = [one for one in usage if one["metric"] in item["counts"] and not (roles[0] and one.get("from_credit"))]
        used = sum((figure(item["figure"], row) for row in rows), F(0))
        seen.same(f"what is included, of no model in particular, of {key}", item["included"] if split else "0", "0")
        for row in rows:
            for role in roles if split else ():
                part, more = (row["provider"], row["model"], role), figure(role or item["figure"], row)
                old = parts.get(part, (0, 0))
                parts.update({part: (old[0] + more, old[1] + row["events"])} if more else {})
        if not split:
            parts[()] = (max(used - F(item["included"]), F(0)), sum(row["events"] for row in rows))
        parts = {part: rate(closest(item, part), *parts[part]) for part in sorted(parts)}
        places = digits if split else 60  # of models each has a line, which is rounded: those are bounded
        whole = sum(rounded(worth(steps), places) for steps in parts.values())
        bound = max(whole, rounded(item["minimum"] or 0, places))
        bound = bound if item["maximum"] is None else min(bound, rounded(item["maximum"], places))
        if bound != whole:
            own = parts.setdefault(("",) * 3 * split, [])
            rest = F(bound - whole + rounded(worth(own), places), 10**places) - worth(own)
            own.append(step("minimum spend" if bound > whole else "maximum spend", flat=rest))
        for part, steps in parts.items() if split or bound or used else ():
            found.append(("usage", f"{key}:{'/'.join(part)}" if split else key, worth(steps), steps))
    for row in sorted(usage, key=lambda row: (row["provider"], row["model"])) if terms["at_cost"] else ():
        name = f"cost:{row['provider']}/{row['model']}"
        costs[name] = costs.get(name, 0) + (0 if row.get("from_credit") else F(row["cost_usd"]))
    seen.same("what costs are in", currency if any(costs.values()) else "usd", "usd")
    found += [("usage", name, cost, []) for name, cost in costs.items() if cost]
    missing = rounded(terms["commitment"] or 0, digits) - sum(rounded(one[2], digits) for one in found)
    return [*found, ("true_up", "true_up", F(missing, 10**digits), [])] if missing > 0 else found


def figure(name, row):
    less = {"tokens": -row["tokens_out"], "input": row["cached_tokens"] + row["cache_write_tokens"]}
    return F(row[COLUMN.get(name, name)]) - less.get(name, 0)


def closest(item, part):
    """The price of a model and role: provider and model, model, any; then the role, then any."""
    near = {f"{part[0]}/{part[1]}": 2, part[1]: 1, "*": 0} if part else {}
    fits = [one for one in item["dimensions"] if one["model"] in near and one["role"] in (part[2], "*")]
    return max(fits, key=lambda one: (near[one["model"]], one["role"] == part[2]), default=item)["price"]


def rate(price, quantity, events):
    """The steps of a price: a name, so many units, at so much, plus something flat."""
    model, low, steps = price["model"], F(0), []
    if model == "flat":
        return [step("flat", flat=price["amount"])]
    if model == "per_unit":
        return [step("units", quantity, price["unit_amount"])]
    if model == "package":
        return [step("packages", -(-max(quantity - F(price["free_units"]), 0) // F(price["size"])), price["amount"])]
    if model == "percentage":
        share = step("share", max(quantity - F(price["free_amount"]), 0), price["rate"])
        fixed, charged = price["fixed_per_event"], max(events - price["free_events"], 0)
        return [share, step("events", charged, fixed)] if F(fixed) else [share]
    for number, tier in enumerate(price.get("tiers", ()) if quantity or price.get("flat_at_zero") else (), 1):
        last = tier["up_to"] is None or quantity <= F(tier["up_to"])
        high = quantity if last else F(tier["up_to"])
        if last or model == "graduated":
            steps, low = [*steps, step(f"tier {number}", high - low, tier["unit_amount"], tier["flat_amount"])], high
        if last:
            break
    return steps


def step(name, units=0, unit=0, flat=0):
    return {"name": name, "units": decimal(units), "unit_amount": decimal(unit), "flat_amount": decimal(flat)}


def worth(steps):
    return sum((F(one["units"]) * F(one["unit_amount"]) + F(one["flat_amount"]) for one in steps), F(0))


def check_totals(seen, proof):
    """Discounts in their order, tax by rate, shares by largest remainder, credit, what is due."""
    nets = [line["amount"] for line in proof["lines"]]
    subtotal, taxes, drawn = sum(nets), [0] * len(nets), [one["amount"] for one in proof["credit"]]
    order = [(one["stage"] != "promo", one["fixed"] is None) for one in proof["discounts"]]
    seen.same("codes before volume, amounts before shares", order, sorted(order))
    for one in proof["discounts"]:
        base, weights = sum(nets), [max(net, 0) for net in nets]
        share = rounded(base * F(one["percent"] or 0) / 100, 0)
        off = share if one["fixed"] is None else min(one["fixed"], base)
        seen.same(f"discount {one['name']}", one["amount"], off)
        parts = spread(off, [F(off * weight, sum(weights) or 1) for weight in weights])
        nets = [net - part for net, part in zip(nets, parts)]
    for one in proof["taxes"]:
        seen.same(f"net of {one['name']}", one["net"], sum(nets))
        tax = rounded(sum(nets) * F(one["rate"]), 0)
        seen.same(f"tax {one['name']}", one["amount"], tax)
        parts = spread(tax, [net * F(one["rate"]) for net in nets])
        taxes = [sum(both) for both in zip(taxes, parts)]
    for line, net, tax in zip(proof["lines"], nets, taxes):
        seen.same(f"line {line['index']}", [line["discount"], line["tax"]], [line["amount"] - net, tax])
    total, credit = sum(nets) + sum(taxes), sum(drawn)
    found = {"subtotal": subtotal, "discount": subtotal - sum(nets), "tax": sum(taxes), "total": total}
    seen.same("totals", proof["totals"], {**found, "credit": credit, "amount_due": total - credit})
    seen.same("credit is within the total", credit <= total and all(one > 0 for one in drawn), True)


def check_events(seen, proof, events):
    """Add the events up again, window by window, as they stood when the invoice was issued."""
    issued = at(proof["issued_at"])
    for usage in [one for window in proof["windows"] for part in window["parts"] for one in part["usage"]]:
        start, end, left = at(usage["period"]["start"]), at(usage["period"]["end"]), {}
        drawing = [(at(one["start"]), at(one["end"])) for one in usage.get("from_credit", ())]
        for one in sorted(events, key=lambda one: at(one["received_at"])):
            if start <= at(one["occurred_at"]) < end and not (one["voided_at"] and at(one["voided_at"]) <= issued):
                paid = ["credit" for since, until in drawing if since <= at(one["occurred_at"]) < until]
                left.setdefault((one["type"], one["provider"] or "", one["model"] or "", *paid), []).append(one)
        for row in usage["rows"]:
            name, days = (row["type"], row["provider"], row["model"], *["credit"] * row.get("from_credit", 0)), {}
            mine, left[name] = left.get(name, [])[: row["events"]], left.get(name, [])[row["events"] :]
            for one in mine:
                days.setdefault(at(one["occurred_at"]).date(), []).append(hash_of_event(one))
            joined = b"".join(sha256(b"".join(sorted(days[day]))).digest() for day in sorted(days))
            found = {what: sum(F(one[what] or 0) for one in mine) for what in (*SUMS, "quantity", "cost_usd")}
            for what, value in {"events": len(mine), **found}.items():
                seen.same(f"{start}, {'/'.join(name)}: {what}", decimal(row[what]), decimal(value))
            seen.same(f"{start}, {'/'.join(name)}: digest", row["digest"], sha256(joined).hexdigest())
        rest = [one for ones in left.values() for one in ones if at(one["received_at"]) < issued - MOMENT]
        seen.same(f"{start}: events that were not billed", [one["id"] for one in rest], [])


def read_events(text):
    if text.lstrip().startswith("{"):
        return [json.loads(line) for line in text.split("\n") if line]
    rows, formula = list(csv.DictReader(io.StringIO(text, newline=""))), tuple("=+-@\t\r\n")
    for row in rows:  # an apostrophe stands before what a spreadsheet would run
        row.update({n: v[1:] for n, v in row.items() if v[:1] == "'" and v[1:].startswith(formula)})
    return rows


def hash_of_event(one):
    micros = (at(one["occurred_at"]) - at("1970-01-01T00:00:00Z")) // timedelta(microseconds=1)
    figures = [one["quantity"], *(one[name] for name in SUMS), one["cost_usd"] or ""]
    said = [f"{int(one['event_id'][4:].translate(BASE_32), 32):032x}", micros, *figures, one["id"]]
    return sha256("|".join(map(str, said)).encode()).digest()


def at(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def seconds(period):
    return int((at(period["end"]) - at(period["start"])).total_seconds())


def rounded(amount, digits):
    whole = (abs(F(amount)) * 10**digits * 2 + 1) // 2  # half away from zero
    return whole if F(amount) >= 0 else -whole


def decimal(amount):
    text = f"{abs(rounded(amount, 30)):031}"
    text = f"{text[:-30]}.{text[-30:]}".rstrip("0").rstrip(".")
    return f"-{text}" if F(amount) < 0 else text


def spread(total, parts):
    """Whole numbers next to the parts that sum to the total: the largest remainders go up."""
    floors = [part // 1 for part in parts]
    order = sorted(range(len(parts)), key=lambda place: (floors[place] - parts[place], place))
    for place in order[: total - sum(floors)]:
        floors[place] += 1
    return floors


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("proof", "--previous", "--events"):
        parser.add_argument(name, type=Path)
    given = vars(parser.parse_args())
    try:
        proof, seen = verify(**{name: path and path.read_bytes().decode() for name, path in given.items()})
    except (OSError, *WRONG) as error:
        print(f"cannot be read: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    print(*[f"WRONG: {one}" for one in seen], f"{proof['number']}: {len(seen)} differences", sep="\n")
    return 1 if seen else 0


if __name__ == "__main__":
    sys.exit(main())
