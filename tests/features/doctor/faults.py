"""How to break by hand what each check watches; one fault a line, or some that go together."""

from __future__ import annotations

_EVENT = "(select * from usage_events where counted <> '{}' order by id limit 1) as e"
_PORTION = f"""
    insert into metered_portions (organization_id, id, hour, event_ids, collected_at)
    select organization_id, '00000000-0000-0000-0000-000000000001',
        date_trunc('hour', occurred_at), array[id], occurred_at
    from {_EVENT}
"""
_BATCH = f"""
    insert into metered_batches (organization_id, id, portion_id, metric, stripe_price_id,
        stripe_customer_id, quantity, occurred_at, state, attempts, next_attempt_at)
    select organization_id, gen_random_uuid(), '00000000-0000-0000-0000-000000000001', k.metric,
        'price_1', 'cus_1', 999999999, occurred_at, 'pending', 0, occurred_at
    from {_EVENT} cross join lateral jsonb_object_keys(counted) as k (metric) limit 1
"""

_GIVEN = """
    insert into manual_plans (organization_id, id, plan, reason, granted_by, granted_at, ends_at,
        fee, usage)
    select id, '00000000-0000-0000-0000-000000000003', plan, '', id, created_at,
        created_at + interval '1 day', 'invoice', 'invoice'
    from organizations limit 1
"""
_STRETCH = """
    insert into given_stretches (organization_id, id, manual_plan_id, plan, catalog_version, fee,
        usage, beneath, since, ends_at)
    select organization_id, id, id, plan, id, fee, usage, 'free', granted_at, ends_at
    from manual_plans where id = '00000000-0000-0000-0000-000000000003'
"""
_ENROLMENT = """
    insert into metered_enrolments (organization_id, id, stripe_customer_id, prices, since)
    select organization_id, id, 'cus_1', '{}', since + interval '1 hour' from given_stretches
"""

_ENDPOINT = """
    insert into webhook_endpoints (organization_id, id, url, description, events, secret,
        is_enabled, last_sequence, created_by, created_at)
    select id, '00000000-0000-0000-0000-000000000002', 'https://example.com/', '', '[]', '', true,
        2, 'user', created_at
    from organizations limit 1
"""
_MESSAGE = """
    insert into webhook_deliveries (organization_id, id, endpoint_id, sequence, cause, event, body,
        state, attempts, last_attempts, created_at)
    select organization_id, gen_random_uuid(), id, {sequence}, '{sequence}', 'endpoint.ping', '{{}}',
        '{state}', 1, '[]', created_at
    from webhook_endpoints where id = '00000000-0000-0000-0000-000000000002'
"""

_TOP_UP = """
    insert into credit_top_ups (organization_id, id, kind, state, amount, currency, month,
        monthly_cap, stripe_customer_id, actor, created_at)
    select id, '00000000-0000-0000-0000-00000000000{id}', 'automatic', '{state}', 600, 'usd',
        '2026-11-01', 1000, 'cus_1', 'system', created_at
    from organizations order by id limit 1
"""

_GRANTED = """
    insert into credit_entries (organization_id, id, account_id, kind, credit_type, amount, currency,
        cause, actor, created_at)
    select id, gen_random_uuid(), id, 'grant', '{type}', {amount}, '{currency}',
        'top_up:00000000-0000-0000-0000-000000000001', 'system', created_at
    from organizations order by id limit 1
"""
_TOPPED_UP = """
    insert into auto_top_ups (organization_id, id, is_on, currency, threshold, amount, monthly_cap,
        failures, changed_at)
    select organization_id, id, true, '{currency}', 7, 600, 600, 0, opened_at
    from credit_accounts where currency = 'usd' order by id limit 1
"""

_PAID_REQUEST = """
    insert into invoice_requests (organization_id, id, invoice_id, state, amount, surplus, attempt,
        stripe_customer_id, stripe_invoice_id, created_at)
    select organization_id, id, id, 'paid', 600, {surplus}, -1, 'cus_1', 'in_1', created_at
    from invoices where origin = 'own' limit 1
"""

_DISPUTE = """
    insert into disputes (organization_id, id, charge_id, stripe_dispute_id, amount, currency, reason,
        status, is_charge_refundable, opened_at, has_suspended)
    select organization_id, id, id, 'dp_1', 1, 'usd', 'fraudulent', 'needs_response', false,
        created_at, false
    from charges limit 1
"""

# Every plan of every version of the catalog sells debates by model.
_SELLING = """
    update catalog_versions set document = jsonb_set(document, '{{plans}}', (
        select jsonb_agg(plan || cast('{{"metered": [{item}], "limits": {limits}}}' as jsonb))
        from jsonb_array_elements(document -> 'plans') as p (plan)
    ))
"""
_BY_MODEL = '{"metric": "debates", "dimensions": [{}]}'

FAULTS: dict[str, tuple[str, ...]] = {
    "usage.no_hold_outlives_its_end": (
        "update reservations set expires_at = expires_at - interval '2 days' where state = 'held'",
    ),
    "budgets.each_has_its_limit": ("update spend_limits set amount_usd = amount_usd + 1",),
    "subscriptions.one_counts": (
        "create temp table twin on commit drop as select * from subscriptions limit 1",
        (
            "update twin set id = gen_random_uuid(), stripe_subscription_id = 'sub_twin',"
            " is_duplicate = false, status = 'active'"
        ),
        "insert into subscriptions select * from twin",
    ),
    "subscriptions.what_is_paid_for_is_granted": (
        "update subscriptions set status = 'active', is_duplicate = false",
        "update organizations set plan = 'free'",
    ),
    "subscriptions.what_is_over_is_not_granted": (
        (
            "update organizations o set plan = s.plan from subscriptions s"
            " where s.organization_id = o.id"
        ),
        "update subscriptions set status = 'canceled'",
    ),
    "subscriptions.one_trial": (
        "create temp table again on commit drop as select * from checkout_attempts limit 1",
        "update again set state = 'complete', trial_days = 14",
        "insert into checkout_attempts select * from again on conflict do nothing",
        "update again set id = gen_random_uuid()",
        "insert into checkout_attempts select * from again",
        "update checkout_attempts set state = 'complete', trial_days = 14",
    ),
    "subscriptions.the_window_was_paid_for": (
        "update subscriptions set window_end = window_end + interval '1 day'",
    ),
    "subscriptions.no_change_hangs": (
        (
            "update subscription_changes set state = 'reserved',"
            " requested_at = requested_at - interval '2 days'"
            " where id = (select id from subscription_changes limit 1)"
        ),
    ),
    "subscriptions.customers_are_registered_once": (
        "update organizations set stripe_customer_id = null",
    ),
    "recovery.no_grace_outlives_its_end": (
        "update recovery_cases set grace_until = grace_until - interval '90 days'",
    ),
    "recovery.a_case_belongs_to_what_is_owed": (
        "update subscriptions set first_failed_at = null, synced_at = synced_at - interval '1 day'",
    ),
    "organizations.each_has_an_owner": ("update memberships set role = 'admin'",),
    "organizations.a_window_is_forward": (
        "update organizations set window_start = now(), window_end = null",
    ),
    "organizations.what_is_held_can_be_rated": (
        _SELLING.format(item=_BY_MODEL, limits='{"debates": {"limit": "5", "policy": "overage"}}'),
    ),
    "payments.no_more_back_than_in": ("update refunds set amount = amount * 1000",),
    "payments.no_refund_waits_for_ever": (
        "update refunds set status = 'requested', created_at = created_at - interval '9 days'",
    ),
    "payments.promises_are_kept": (
        (
            "update credit_notes set settlement = 'refund', refund_way = 'stripe',"
            " refund_state = 'requested', issued_at = issued_at - interval '9 days'"
        ),
    ),
    "payments.a_disputed_organization_has_a_dispute": (
        "update organizations set is_disputed = not is_disputed",
    ),
    "credits.balances_are_their_entries": (
        "update credit_entries set amount = amount + 1 where kind = 'grant'",
    ),
    "credits.grants_give_what_they_have": ("update credit_grants set remaining = remaining - 1",),
    "credits.entries_name_their_grants": ("update credit_draws set amount = amount - 1",),
    "credits.no_balance_is_negative": (
        "update credit_entries set amount = amount * 1000 where kind = 'deduction'",
    ),
    "credits.use_goes_as_far_as_credit": (
        "update spend_limits set hard_usd = hard_usd + 0.01 where scope = 'credit'",
    ),
    "credits.settled_use_is_in_entries": (
        "update credit_accounts set use_settled = use_settled + 1 where is_used",
    ),
    "credits.plans_that_draw_are_followed": (
        (
            "update organizations set draws_on_credit_since ="
            " draws_on_credit_since - interval '1 day'"
        ),
    ),
    "credits.paid_top_ups_are_granted": (_TOP_UP.format(id=1, state="paid"),),
    "credits.one_top_up_is_underway": (
        "drop index uq_credit_top_ups_underway",
        _TOP_UP.format(id=1, state="open"),
        _TOP_UP.format(id=2, state="reserved"),
    ),
    "credits.top_ups_keep_to_the_cap": (
        _TOP_UP.format(id=1, state="paid"),
        _TOP_UP.format(id=2, state="paid"),
    ),
    "credits.what_is_low_is_known": ("update credit_accounts set low_below = 7",),
    "discounts.codes_count_their_uses": ("update promo_codes set uses = uses + 1",),
    "discounts.no_code_is_overused": ("update promo_codes set max_uses_per_org = 0",),
    "discounts.periods_are_invoices": ("update promo_redemptions set periods_used = 0",),
    "metered.an_event_is_told_once": (_PORTION, _PORTION.replace("01'", "02'")),
    "metered.batches_are_the_sums_of_their_events": (_PORTION, _BATCH),
    "metered.nothing_waits_for_ever": (_BATCH,),
    "metered.use_is_billed_by_one": (_GIVEN, _STRETCH, _ENROLMENT),
    "invoices.lines_add_up": ("update invoice_lines set amount = amount + 1",),
    "invoices.totals_add_up": ("update invoices set total = total + 1",),
    "invoices.what_is_due_is_what_credit_left": (
        "update invoices set amount_due = amount_due + 1",
    ),
    "invoices.what_remains_is_unpaid": (
        "update invoices set amount_remaining = amount_remaining + 1",
    ),
    "invoices.what_was_paid_came_in": ("update invoice_payments set amount = amount + 1",),
    "invoices.what_stripe_took_in_was_booked": (_PAID_REQUEST.format(surplus=0),),
    "invoices.credit_is_in_the_ledger": (
        "update own_invoices set credit_applied = credit_applied + 1",
    ),
    "invoices.a_void_one_gave_its_credit_back": (
        "delete from credit_entries where kind = 'return'",
    ),
    "invoices.notes_stay_within": ("update own_invoices set creditable = creditable + 1",),
    "invoices.notes_are_their_lines": ("update credit_note_lines set tax = tax + 1",),
    "invoices.an_issued_one_has_a_number": ("update invoices set number = null",),
    "invoices.a_window_is_billed_once": (
        "drop index uq_invoices_window",
        "update invoices set status = 'open' where status = 'void'",
        "update invoices set period_start = '2026-01-01' where origin = 'own'",
    ),
    "invoices.numbers_have_no_gap": (
        "update invoice_number_counters set last_number = last_number + 1",
    ),
    "invoices.notes_have_no_gap": ("update credit_notes set number = 'CN-2026-000999'",),
    "invoices.a_paid_one_owes_nothing": (
        "update invoices set amount_remaining = 5 where status = 'paid'",
    ),
    "invoices.no_more_back_than_was_paid": (
        (
            "update credit_notes set settlement = 'refund', refund_way = 'transfer',"
            " refund_state = 'made', total = total * 100000"
        ),
    ),
    "invoices.mirrored_totals_add_up": (
        "update invoices set total = total + 1 where origin = 'stripe'",
    ),
    "invoices.mirrored_notes_are_all_there": (
        "update invoices set credited_before = 1 where origin = 'stripe'",
    ),
    "invoices.lines_are_rounded_once": (
        "update invoice_lines set exact_amount = exact_amount + 0.006",
    ),
    "invoices.a_billed_window_is_remembered": ("delete from billed_windows",),
    "invoices.no_line_is_taken_back_twice": (
        "update credit_note_lines set amount = amount * 100000",
    ),
    "invoices.proofs_are_as_they_were": ("update invoice_proofs set document = document || ' '",),
    "invoices.proofs_are_one_chain": (
        "update invoice_proofs set previous_hash = hash where place = 2",
    ),
    "webhooks.nothing_is_dead": ("update stripe_events set state = 'dead', handled_at = null",),
    "webhooks.nothing_waits_for_long": (
        (
            "update stripe_events set state = 'pending', handled_at = null,"
            " received_at = received_at - interval '90 days'"
        ),
    ),
    "notifications.a_notice_that_waits_has_its_next_attempt": (
        "update notices set state = 'pending', settled_at = null, next_attempt_at = null",
    ),
    "notifications.a_settled_notice_waits_for_nothing": (
        "update personal_notices set settled_at = null where state = 'sent'",
    ),
    "notifications.a_sent_notice_names_whom": (
        "update notices set recipient = null where state = 'sent'",
    ),
    "notifications.endpoints_are_told_in_order": (
        _ENDPOINT,
        _MESSAGE.format(sequence=1, state="pending"),
        _MESSAGE.format(sequence=2, state="sent"),
    ),
    "notifications.an_endpoint_that_is_off_says_so": (
        _ENDPOINT,
        "update webhook_endpoints set is_enabled = false",
    ),
    "jobs.none_failed": (
        "insert into pgqueuer (priority, status, entrypoint) values (0, 'failed', 'any')",
    ),
    "jobs.none_is_overdue": (
        (
            "insert into pgqueuer (priority, status, entrypoint, execute_after)"
            " values (0, 'queued', 'any', now() - interval '16 minutes')"
        ),
    ),
}

_PAID_TOP_UP = _TOP_UP.format(id=1, state="paid")

BRANCHES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("budgets.each_has_its_limit", ("delete from spend_limits",)),
    ("budgets.each_has_its_limit", ("update spend_limits set is_active = false",)),
    (
        "subscriptions.what_is_over_is_not_granted",
        (
            (
                "update organizations o set plan = s.plan from subscriptions s"
                " where s.organization_id = o.id"
            ),
            "update subscriptions set status = 'active', awaits_first_payment = true",
        ),
    ),
    (
        "subscriptions.the_window_was_paid_for",
        ("update subscriptions set window_start = window_start - interval '1 day'",),
    ),
    ("subscriptions.the_window_was_paid_for", ("delete from paid_periods",)),
    (
        "organizations.a_window_is_forward",
        ("update organizations set window_start = now(), window_end = now()",),
    ),
    (
        "organizations.what_is_held_can_be_rated",
        (_SELLING.format(item=_BY_MODEL[:-1] + ', "included": "5"}', limits="{}"),),
    ),
    ("payments.a_disputed_organization_has_a_dispute", (_DISPUTE,)),
    (
        "payments.promises_are_kept",
        (
            (
                "update credit_notes set settlement = 'refund', refund_way = 'stripe',"
                " refund_state = 'made'"
            ),
            (
                "update refunds r set organization_id = c.organization_id, id = c.id,"
                " amount = c.total + 1 from credit_notes c"
            ),
        ),
    ),
    ("credits.balances_are_their_entries", ("delete from credit_grants",)),
    ("credits.balances_are_their_entries", ("delete from credit_entries",)),
    ("credits.grants_give_what_they_have", ("delete from credit_draws",)),
    ("credits.entries_name_their_grants", ("delete from credit_draws",)),
    ("credits.use_goes_as_far_as_credit", ("delete from spend_limits where scope = 'credit'",)),
    (
        "credits.use_goes_as_far_as_credit",
        ("update spend_limits set is_active = false where scope = 'credit'",),
    ),
    (
        "credits.use_goes_as_far_as_credit",
        ("update spend_limits set settled_usd = settled_usd + 0.01 where scope = 'credit'",),
    ),
    (
        "credits.use_goes_as_far_as_credit",
        (
            (
                "update spend_limits set amount_usd = amount_usd + 0.01, hard_usd = hard_usd + 0.01"
                " where scope = 'credit'"
            ),
        ),
    ),
    (
        "credits.use_goes_as_far_as_credit",
        ("update credit_accounts set draws_since = null",),
    ),
    (
        "credits.settled_use_is_in_entries",
        ("update credit_accounts set is_used = false, use_settled = 0",),
    ),
    (
        "credits.plans_that_draw_are_followed",
        (
            (
                "update organizations set draws_on_credit_since ="
                " draws_on_credit_since - interval '1 day'"
            ),
            "delete from credit_accounts",
        ),
    ),
    (
        "credits.paid_top_ups_are_granted",
        (
            _TOP_UP.format(id=1, state="void"),
            _GRANTED.format(type="purchased", amount=600, currency="usd"),
        ),
    ),
    (
        "credits.paid_top_ups_are_granted",
        (_PAID_TOP_UP, _GRANTED.format(type="purchased", amount=601, currency="usd")),
    ),
    (
        "credits.paid_top_ups_are_granted",
        (_PAID_TOP_UP, _GRANTED.format(type="purchased", amount=600, currency="eur")),
    ),
    (
        "credits.paid_top_ups_are_granted",
        (_PAID_TOP_UP, _GRANTED.format(type="promotional", amount=600, currency="usd")),
    ),
    ("credits.what_is_low_is_known", (_TOPPED_UP.format(currency="usd"),)),
    (
        "credits.what_is_low_is_known",
        (
            _TOPPED_UP.format(currency="eur"),
            (
                "update credit_accounts a set low_below = s.threshold from auto_top_ups s"
                " where s.organization_id = a.organization_id"
            ),
        ),
    ),
    ("invoices.lines_add_up", ("update invoice_lines set discount = discount + 1",)),
    ("invoices.lines_add_up", ("update invoice_lines set tax = tax + 1",)),
    ("invoices.what_stripe_took_in_was_booked", (_PAID_REQUEST.format(surplus=600),)),
    ("invoices.notes_are_their_lines", ("update credit_note_lines set net = net + 1",)),
    (
        "invoices.an_issued_one_has_a_number",
        ("update invoices set issued_at = null, number = null where status = 'paid'",),
    ),
    (
        "invoices.numbers_have_no_gap",
        ("update invoices set number = 'INV-2026-000999' where number = 'INV-2026-000002'",),
    ),
    (
        "invoices.numbers_have_no_gap",
        (
            "drop index if exists uq_invoices_number",
            "update invoices set number = 'INV-2026-000001' where number = 'INV-2026-000002'",
            "update invoice_number_counters set last_number = 1 where seller not like 'CN:%'",
        ),
    ),
    ("invoices.numbers_have_no_gap", ("delete from invoice_number_counters",)),
    (
        "invoices.notes_have_no_gap",
        ("update invoice_number_counters set last_number = last_number + 1",),
    ),
    (
        "invoices.mirrored_totals_add_up",
        ("update invoices set total = total - 1 where origin = 'stripe'",),
    ),
    ("invoices.no_line_is_taken_back_twice", ("update credit_note_lines set net = net * 100000",)),
    ("invoices.no_line_is_taken_back_twice", ("update credit_note_lines set tax = 100000000",)),
    (
        "invoices.proofs_are_as_they_were",
        ("update invoice_proofs set previous_hash = repeat('0', 64) where place = 2",),
    ),
    ("invoices.proofs_are_one_chain", ("update invoice_number_counters set last_hash = 'other'",)),
    ("invoices.proofs_are_one_chain", ("delete from invoice_proofs where place = 2",)),
    (
        "notifications.a_notice_that_waits_has_its_next_attempt",
        (
            (
                "update personal_notices set state = 'pending', settled_at = null,"
                " next_attempt_at = null"
            ),
        ),
    ),
    *(
        (
            "notifications.a_settled_notice_waits_for_nothing",
            (f"update {notices} set {name} = {value} where state <> 'pending'",),
        )
        for notices in ("notices", "personal_notices")
        for name, value in (
            ("settled_at", "null"),
            ("next_attempt_at", "now()"),
            ("leased_until", "now()"),
        )
    ),
    (
        "notifications.a_sent_notice_names_whom",
        ("update personal_notices set recipient = '' where state = 'sent'",),
    ),
    (
        "notifications.an_endpoint_that_is_off_says_so",
        (_ENDPOINT, "update webhook_endpoints set disabled_at = now()"),
    ),
    *(
        ("usage.months_are_their_events", (f"update usage_monthly set {name} = {name} + 1",))
        for name in ("api_calls", "total_tokens", "events", "tokens_in", "tokens_out", "unpriced")
    ),
    ("usage.holds_are_open_reservations", ("update usage_counters set held = 0",)),
    ("usage.holds_are_open_reservations", ("delete from reservations",)),
)
"""Other ways to break a check, one for each `or`, each side of a join and each column of theirs."""
