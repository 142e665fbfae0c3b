"""What every Stripe call has in common: keys, parameters, errors, lists, retries."""

import asyncio
import random
from typing import Any

import pytest
import stripe

from app.sandbox.config import SandboxConfig
from tests.sandbox.conftest import Account
from tests.support.long import EVERYTHING


async def test_only_the_accounts_key_opens_it(account: Account) -> None:
    for header in ({}, {"Authorization": "Bearer sk_test_other"}, {"Authorization": "Bearer"}):
        answer = await account.http.get("/v1/customers", headers=header)
        assert answer.status_code == 401
        assert answer.json()["error"]["type"] == "invalid_request_error"
        assert answer.headers["request-id"].startswith("req_")
    basic = await account.http.get("/v1/customers", auth=("sk_test_sandbox", ""))
    assert basic.status_code == 200


def test_a_live_key_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="test keys only"):
        SandboxConfig(secret_key="sk_live_51abc")


async def test_errors_have_the_shape_the_client_expects(account: Account) -> None:
    v1 = account.stripe.v1
    with pytest.raises(stripe.InvalidRequestError) as missing:
        await v1.customers.retrieve_async("cus_nobody")
    assert (missing.value.http_status, missing.value.code) == (404, "resource_missing")
    unknown: Any = {"colour": "red"}
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await v1.customers.create_async(unknown)
    assert (refused.value.code, refused.value.param) == ("parameter_unknown", "colour")
    misplaced: Any = {"customer": "cus_1", "name": "x"}
    with pytest.raises(stripe.InvalidRequestError) as lacking:
        await v1.subscriptions.create_async(misplaced)
    assert (lacking.value.code, lacking.value.param) == ("parameter_unknown", "name")
    with pytest.raises(stripe.InvalidRequestError) as needed:
        await v1.subscriptions.create_async({"customer": "cus_1"})
    assert (needed.value.code, needed.value.param) == ("parameter_missing", "items")
    nested: Any = {"mode": "subscription", "subscription_data": {"trail_days": 3}}
    with pytest.raises(stripe.InvalidRequestError) as typo:
        await v1.checkout.sessions.create_async(nested)
    assert typo.value.param == "subscription_data[trail_days]"
    with pytest.raises(stripe.CardError) as declined:
        customer = await account.customer(card=None)
        await v1.payment_methods.attach_async("pm_card_chargeDeclined", {"customer": customer.id})
    assert (declined.value.http_status, declined.value.code) == (402, "card_declined")


async def test_a_method_checkout_no_longer_takes_is_refused_by_name(account: Account) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await account.checkout(payment_method_types=["card"])
    assert refused.value.code == "payment_method_types_no_longer_supported"


async def test_a_key_used_again_gives_the_first_answer_and_no_second_effect(
    account: Account,
) -> None:
    create = account.stripe.v1.customers.create_async
    first = await create({"name": "Ada"}, {"idempotency_key": "k1"})
    second = await create({"name": "Ada"}, {"idempotency_key": "k1"})
    assert first.id == second.id
    assert second.last_response is not None
    assert second.last_response.headers["idempotent-replayed"] == "true"
    assert len((await account.stripe.v1.customers.list_async()).data) == 1
    with pytest.raises(stripe.IdempotencyError):
        await create({"name": "Grace"}, {"idempotency_key": "k1"})
    without_key = await create({"name": "Ada"}, {"idempotency_key": "k2"})
    assert without_key.id != first.id


async def test_a_refusal_is_remembered_too_but_a_misspelled_request_is_not(
    account: Account,
) -> None:
    update = account.stripe.v1.customers.update_async
    for _ in range(2):
        with pytest.raises(stripe.InvalidRequestError) as missing:
            await update("cus_nobody", {"name": "x"}, {"idempotency_key": "gone"})
    assert missing.value.headers is not None
    assert missing.value.headers["idempotent-replayed"] == "true"
    wrong: Any = {"nmae": "x"}
    with pytest.raises(stripe.InvalidRequestError):
        await account.stripe.v1.customers.create_async(wrong, {"idempotency_key": "typo"})
    await account.stripe.v1.customers.create_async({"name": "x"}, {"idempotency_key": "typo"})


async def test_a_key_in_use_is_refused_meanwhile(account: Account) -> None:
    await account.control("faults", kind="slow", seconds=0.3)
    create = account.stripe.v1.customers.create_async
    first = asyncio.create_task(create({"name": "Ada"}, {"idempotency_key": "busy"}))
    await asyncio.sleep(0.1)
    with pytest.raises(stripe.APIError) as refused:
        await create({"name": "Ada"}, {"idempotency_key": "busy"})
    assert refused.value.http_status == 409
    assert (await first).name == "Ada"


async def test_a_lost_answer_is_found_again_by_its_key(account: Account) -> None:
    await account.control("faults", kind="lost_answer")
    create = account.stripe.v1.customers.create_async
    with pytest.raises(stripe.APIError):
        await create({"name": "Ada"}, {"idempotency_key": "lost"})
    again = await create({"name": "Ada"}, {"idempotency_key": "lost"})
    assert [c.id for c in (await account.stripe.v1.customers.list_async()).data] == [again.id]


async def test_faults_hit_as_many_calls_as_ordered(account: Account) -> None:
    await account.control("faults", kind="rate_limit", count=2, path="/v1/customers")
    await account.stripe.v1.products.list_async()
    for _ in range(2):
        with pytest.raises(stripe.RateLimitError):
            await account.stripe.v1.customers.list_async()
    await account.stripe.v1.customers.list_async()
    await account.control("faults", kind="server_error")
    with pytest.raises(stripe.APIError):
        await account.stripe.v1.customers.list_async()


async def test_metadata_is_merged_and_an_empty_value_removes(account: Account) -> None:
    v1 = account.stripe.v1
    made = await v1.customers.create_async({"metadata": {"a": "1", "b": "2"}})
    merged = await v1.customers.update_async(made.id, {"metadata": {"b": "", "c": "3"}})
    assert merged.metadata is not None
    assert merged.metadata.to_dict() == {"a": "1", "c": "3"}
    cleared = await v1.customers.update_async(made.id, {"metadata": ""})
    assert cleared.metadata is not None
    assert cleared.metadata.to_dict() == {}


async def test_lists_are_newest_first_and_paged_both_ways(account: Account) -> None:
    v1 = account.stripe.v1
    made = [(await v1.customers.create_async({"name": str(n)})).id for n in range(7)][::-1]
    first = await v1.customers.list_async({"limit": 3})
    assert [c.id for c in first.data] == made[:3]
    assert first.has_more
    second = await v1.customers.list_async({"limit": 3, "starting_after": made[2]})
    assert [c.id for c in second.data] == made[3:6]
    back = await v1.customers.list_async({"limit": 3, "ending_before": made[5]})
    assert [c.id for c in back.data] == made[2:5]
    assert back.has_more
    everyone = await v1.customers.list_async({"limit": 2})
    assert [c.id async for c in everyone.auto_paging_iter()] == made
    with pytest.raises(stripe.InvalidRequestError):
        await v1.customers.list_async({"starting_after": "cus_nobody"})


async def test_lists_can_be_narrowed_by_when_things_were_created(account: Account) -> None:
    v1 = account.stripe.v1
    early = await v1.customers.create_async({"name": "early"})
    await account.advance(days=2)
    late = await v1.customers.create_async({"name": "late"})
    found = await v1.customers.list_async({"created": {"gt": early.created}})
    assert [c.id for c in found.data] == [late.id]
    found = await v1.customers.list_async({"created": {"lte": early.created}})
    assert [c.id for c in found.data] == [early.id]


async def test_expansion_reaches_through_objects_and_lists(account: Account) -> None:
    v1 = account.stripe.v1
    subscription = await account.subscription()
    full: Any = await v1.subscriptions.retrieve_async(
        subscription.id,
        {
            "expand": [
                "customer",
                "latest_invoice.payments.data.payment",
                "items.data.price.product",
            ]
        },
    )
    assert full.customer.email == "a@example.com"
    assert full.latest_invoice.payments.data[0].status == "paid"
    paid: Any = await v1.invoices.retrieve_async(
        full.latest_invoice.id, {"expand": ["payments.data.payment.payment_intent"]}
    )
    assert paid.payments.data[0].payment.payment_intent.status == "succeeded"
    assert full["items"].data[0].price.product.name == "Starter"
    listed: Any = await v1.subscriptions.list_async({"expand": ["data.customer"]})
    assert listed.data[0].customer.object == "customer"
    for path in ("colour", "status", "customer.email.x.y.z"):
        with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
            await v1.subscriptions.retrieve_async(subscription.id, {"expand": [path]})


async def test_lookup_keys_find_prices_and_can_be_handed_over(account: Account) -> None:
    v1 = account.stripe.v1

    async def price(amount: int, **more: Any) -> Any:
        params: Any = {
            "product": "prod_pro",
            "currency": "usd",
            "recurring": {"interval": "month"},
            "unit_amount": amount,
            "lookup_key": "pro",
            **more,
        }
        return await v1.prices.create_async(params)

    old = await price(100)
    with pytest.raises(stripe.InvalidRequestError):
        await price(200)
    new = await price(200, transfer_lookup_key=True)
    found = await v1.prices.list_async({"lookup_keys": ["pro"]})
    assert [price.id for price in found.data] == [new.id]
    assert (await v1.prices.retrieve_async(old.id)).lookup_key is None


async def test_seeding_twice_is_seeding_once(account: Account) -> None:
    from tests.sandbox.conftest import CATALOG

    before = account.app.state.sandbox.store.rows("SELECT * FROM objects")
    await account.control("seed", **CATALOG)
    assert account.app.state.sandbox.store.rows("SELECT * FROM objects") == before
    bad = await account.http.post(
        "/_sandbox/seed", json={"prices": [{"id": "p", "currency": "usd", "product": "prod_no"}]}
    )
    assert bad.status_code == 400
    form = await account.http.post("/_sandbox/reset", data={"a": "b"})
    assert form.status_code == 415


async def test_no_odd_input_is_a_server_error(account: Account) -> None:
    """Garbled forms on every path: refused or accepted, never a 500."""
    from app.sandbox.nouns.catalog import OPERATIONS

    dice = random.Random(7)
    subscription = await account.subscription()
    session = await account.checkout()
    values = ["", "x", "-1", "0", "9" * 30, "1e9", "nan", "true", "\ufffd", "now", "[]", "{}",
              "%00", "'; DROP TABLE objects", subscription.id, "price_pro", "x" * 6000]  # fmt: skip
    bodies = [b"a[b=1", b"[]=1", b"a[][]=1", b"a=1&a[b]=2", b"\xff\xfe=1", b"a%ff=1", b"&&&=",
              b"expand=x", b"expand[]=" + b"a." * 40, b"a" + b"[b]" * 60 + b"=1",
              b"items[x]=1", b"items[0]=1", b"items[0][price][x]=1", b"created[gte]=x",
              b"metadata=x", b"metadata[a][b]=1", b"limit=1000", b"limit=0"]  # fmt: skip
    headers = {"Authorization": "Bearer sk_test_sandbox"}
    form = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
    for operation in OPERATIONS:
        path = operation.path.replace("{id}", subscription.id)
        for name in ("session", "subscription", "customer", "invoice", "price"):
            ids = {"session": session.id, "subscription": subscription.id,
                   "customer": subscription.customer, "invoice": subscription.latest_invoice,
                   "price": "price_pro"}  # fmt: skip
            path = path.replace(f"{{{name}}}", ids[name])
        known = [*operation.takes.known, "expand[0]", "colour"]
        tries = [*bodies]
        for _ in range(12 if EVERYTHING else 4):
            pairs = {f"{dice.choice(known)}{dice.choice(['', '[0]', '[a]', '[0][price]'])}":
                     dice.choice(values) for _ in range(3)}  # fmt: skip
            tries.append("&".join(f"{k}={v}" for k, v in pairs.items()).encode())
        for body in tries:
            if operation.method == "POST":
                answer = await account.http.post(path, content=body, headers=form)
            else:
                query = body.decode("latin-1")
                answer = await account.http.request(
                    operation.method, f"{path}?{query}", headers=headers
                )
            assert answer.status_code < 500, (operation, body, answer.text)
            if answer.status_code >= 400:
                assert {"type", "message"} <= answer.json()["error"].keys()
    wrong_kind = await account.http.post("/v1/customers", json={"name": "x"}, headers=headers)
    assert wrong_kind.status_code == 400
    nowhere = await account.http.get("/v1/colours", headers=headers)
    assert nowhere.status_code == 404
    huge = await account.http.post("/v1/customers", content=b"a" * 1_100_000, headers=form)
    assert huge.status_code == 413
