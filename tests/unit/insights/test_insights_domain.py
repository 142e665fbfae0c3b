"""The statistics: on made series whose truth is known, and on real ones where they are at hand."""

from __future__ import annotations

import csv
import json
import math
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.insights.domain import change, find_anomalies, project, seasonality

FIRST = date(2026, 6, 1)
WEEK = [10.0, 12.0, 11.0, 13.0, 14.0, 3.0, 2.0]


def test_a_season_and_a_trend_go_on() -> None:
    values = [WEEK[day % 7] + 0.1 * day for day in range(84)]
    projection = project(values, 14)
    assert projection is not None
    assert projection.method == "theta"
    for step, found in enumerate(projection.steps):
        truth = WEEK[(84 + step) % 7] + 0.1 * (84 + step)
        assert abs(found.estimate - truth) < 1.0
    assert projection.total.lower <= projection.total.estimate <= projection.total.upper


def test_the_bounds_hold_about_eight_of_ten_times() -> None:
    random = Random(7)
    held = steps = 0
    for _ in range(300):
        values = [max(0.0, WEEK[day % 7] + random.gauss(20, 3)) for day in range(98)]
        projection = project(values[:84], 14)
        assert projection is not None
        held += projection.total.lower <= sum(values[84:]) <= projection.total.upper
        steps += sum(
            found.lower <= value <= found.upper
            for found, value in zip(projection.steps, values[84:], strict=True)
        )
    assert 0.7 < held / 300 < 0.95
    assert 0.7 < steps / 300 / 14 < 0.9


def test_a_short_history_says_less() -> None:
    assert project([5.0] * 6, 30) is None
    mean = project([4.0, 6.0] * 5, 30)
    assert mean is not None
    assert (mean.method, round(mean.total.estimate, 9)) == ("mean", 150.0)
    assert mean.total.lower < 150 < mean.total.upper
    nothing = project([0.0] * 40, 30)
    assert nothing is not None
    assert (nothing.total.lower, nothing.total.estimate, nothing.total.upper) == (0, 0, 0)


@given(st.lists(st.floats(0, 1e6), max_size=60), st.integers(1, 60))
def test_forecasts_are_finite_and_never_below_zero(values: list[float], horizon: int) -> None:
    projection = project(values, horizon)
    assert (projection is None) == (len(values) < 7)
    if projection is not None:
        assert len(projection.steps) == horizon
        for found in (*projection.steps, projection.total):
            assert 0 <= found.lower <= found.estimate <= found.upper < math.inf


def test_a_day_that_stands_out_is_found_and_a_weekend_is_not() -> None:
    random = Random(3)
    values = [WEEK[day % 7] * random.uniform(0.95, 1.05) for day in range(70)]
    assert find_anomalies(FIRST, values, FIRST) == []
    values[50] *= 4
    values[60] = 0.0
    spike, drop = find_anomalies(FIRST, values, FIRST)
    assert (spike.day, spike.is_spike, spike.severity) == (
        FIRST + timedelta(days=50),
        True,
        "critical",
    )
    assert (drop.day, drop.is_spike) == (FIRST + timedelta(days=60), False)
    assert abs(spike.expected - WEEK[1]) < 1
    assert find_anomalies(FIRST, values, FIRST + timedelta(days=61)) == []


def test_a_percent_of_a_steady_series_is_no_anomaly() -> None:
    values = [100.0] * 40
    values[35] = 103.0
    values[38] = 150.0
    assert [found.cost for found in find_anomalies(FIRST, values, FIRST)] == [150.0]


def test_what_recurs_and_what_changes() -> None:
    assert seasonality(WEEK * 8) == pytest.approx(1, abs=0.02)
    random = Random(5)
    noise = seasonality([random.random() for _ in range(364)])
    assert noise is not None
    assert noise < 0.1
    assert seasonality([1.0] * 13) is None
    assert seasonality([1.0] * 28) == 0
    assert change([1.0] * 28 + [1.5] * 28) == 0.5
    assert change([0.0] * 28 + [1.5] * 28) is None
    assert change([1.0] * 55) is None


def test_forecasts_of_real_series_beat_repeating_the_last_season(shared_dir: Path) -> None:
    known: dict[str, Any] = json.loads(
        (shared_dir / "data" / "timeseries" / "forecast_series.json").read_text()
    )
    errors = []
    for series in known["series"].values():
        values, horizon, period = series["values"], series["horizon"], series["period"]
        past, to_come = values[:-horizon], values[-horizon:]
        pairs = zip(past[period:], past, strict=False)
        scale = fmean(abs(value - before) for value, before in pairs)
        projection = project(past, horizon, period)
        assert projection is not None
        estimates = [step.estimate for step in projection.steps]
        missed = fmean(abs(a - b) for a, b in zip(estimates, to_come, strict=True))
        errors.append(missed / scale)
    mean = known["mean_mase"]
    assert fmean(errors) <= mean["seasonal_naive"]
    assert fmean(errors) <= 1.1 * min(mean["holt_winters_add"], mean["theta"])


def test_known_disturbances_of_a_city_are_found_by_the_day(shared_dir: Path) -> None:
    """Taxi rides in New York: Thanksgiving, Christmas, New Year and a blizzard, but not the
    marathon, which moves rides within its day; and hardly a day besides."""
    series, name = shared_dir / "data" / "timeseries", "realKnownCause__nyc_taxi.csv"
    by_day: dict[date, float] = {}
    with (series / "nab" / name).open() as file:
        for row in csv.DictReader(file):
            day = datetime.fromisoformat(row["timestamp"]).date()
            by_day[day] = by_day.get(day, 0.0) + float(row["value"])
    days = sorted(by_day)
    found = find_anomalies(days[0], [by_day[day] for day in days], days[0])
    labelled = json.loads((series / "nab_labels_and_baselines.json").read_text())["labels"][name]
    windows = [
        tuple(datetime.fromisoformat(each).date() for each in window)
        for window in labelled["windows"]
    ]
    hit = [any(start <= each.day <= end for each in found) for start, end in windows]
    assert hit == [False, True, True, True, True]
    outside = [
        each.day for each in found if not any(start <= each.day <= end for start, end in windows)
    ]
    assert len(outside) <= 2
