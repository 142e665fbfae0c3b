"""Targets are judged by the medians of one run, and what was not measured is not judged."""

from dataclasses import replace

from benchmarks import report
from benchmarks.measured import Case, Sample, medians
from benchmarks.targets import TARGETS, Target

QUICK = Sample(rate=4_000, p50_ms=1, p99_ms=10, app_us=100, database_us=50)
SLOW = Sample(rate=100, p50_ms=10, p99_ms=100, app_us=3_000, database_us=1_000)

FASTER = Target("faster", 40, lambda found: found["ours"].rate / found["theirs"].rate)
CHEAP = Target("cheap", 0.16, lambda found: found["ours"].cpu_ms, at_most=True, unit="ms")


def test_a_ratio_that_is_met_exactly_is_reached() -> None:
    assert FASTER.verdict({"ours": QUICK, "theirs": SLOW}) == ("40 ×", "reached")


def test_a_ratio_that_is_missed_is_said_to_be() -> None:
    slower = replace(QUICK, rate=3_900)
    assert FASTER.verdict({"ours": slower, "theirs": SLOW}) == ("39 ×", "**not reached**")


def test_an_upper_bound_is_judged_the_other_way() -> None:
    assert CHEAP.verdict({"ours": QUICK}) == ("0.15 ms", "reached")
    assert CHEAP.verdict({"ours": SLOW}) == ("4 ms", "**not reached**")
    assert CHEAP.wanted == "≤ 0.16 ms"


def test_what_is_missed_is_named_and_so_is_what_was_not_measured() -> None:
    found = {"single-64": QUICK, "naive": SLOW, "raw-1": replace(QUICK, p99_ms=0.1)}
    text = report.standing(found)
    assert text.startswith(f"Of {len(TARGETS)} targets 2 are reached. **Not reached: their p99")
    assert "Not measured in this run: authentication" in text


def test_costs_say_what_a_core_does() -> None:
    assert report.costs({"single-64": QUICK}).splitlines()[2:] == [
        "| A single event over HTTP, 64 at once | 0.150 | 6,667 | 0.000 |"
    ]


def test_what_is_missing_is_not_judged() -> None:
    assert FASTER.verdict({"ours": QUICK}) == ("–", "not measured")
    assert all(target.verdict({}) == ("–", "not measured") for target in TARGETS)


def test_medians_are_taken_of_each_figure_for_itself_but_one_overshoot_is_not_forgiven() -> None:
    samples = [
        Sample(rate=1, p99_ms=30, facts={"overshoot": 0}),
        Sample(rate=2, p99_ms=10, facts={"overshoot": 4}),
        Sample(rate=9, p99_ms=20, facts={"overshoot": 4}),
    ]
    found = medians(samples)
    assert (found.rate, found.p99_ms, found.facts) == (2, 20, {"overshoot": 4})


def test_the_report_keeps_what_is_around_the_marks(tmp_path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.MARK}\nold\n{report.MARK}\nafter\n")
    report.write("new", page)
    report.write("newest", page)
    assert page.read_text() == f"before\n{report.MARK}\n\nnewest\n\n{report.MARK}\nafter\n"


def test_a_case_that_this_machine_lacks_has_no_row() -> None:
    async def never(bench, run) -> None:
        return None

    cases = [Case("ours", "ours", never), Case("redis", "Redis", never)]
    lines = report.figures(cases, {"ours": QUICK}).splitlines()
    assert lines[2:] == ["| ours | 4,000 | 1.00 | 10.0 | 100.0 | 50.0 | 0.0 | 0.000 |"]
