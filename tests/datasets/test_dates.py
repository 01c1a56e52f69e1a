"""Dates in tables, the step between them, and what lies beyond the last."""

import datetime

import numpy as np
import pytest

from minirnn.datasets import dates


@pytest.mark.parametrize(
    "text",
    [
        "2020-03-05", "2020/03/05", "2020-3-5 00:00", "2020-03-05T00:00:00.25Z", "05.03.2020",
        "5/3/2020 0:00", "20200305", "Mar 5 2020", "5 March 2020", "5-Mar-2020", "Mar 5, 2020",
    ],
)  # fmt: skip
def test_a_day_in_many_forms(text):
    assert dates.read_date(text) == datetime.datetime(2020, 3, 5)


def test_larger_steps_and_what_is_no_date():
    for text, month, day in (("2020", 1, 1), ("2020-04", 4, 1), ("2020Q2", 4, 1), ("Q2 2020", 4, 1),
                             ("2020-W14", 3, 30), ("Apr 2020", 4, 1)):  # fmt: skip
        assert dates.read_date(text) == datetime.datetime(2020, month, day)
    for text in (
        "",
        "x",
        "12",
        "1.5",
        "2020-02-30",
        "2020-13-01",
        "Foo 2020",
        "1,200",
        "1960.25",
        "1960.1",
        "2020-00-01",
    ):
        assert dates.read_date(text) is None


def test_the_order_of_day_and_month_is_told_or_open():
    assert dates.order_of(["01/02/2020", "13/02/2020"]) == "dmy"
    assert dates.order_of(["01/02/2020", "01/13/2020"]) == "mdy"
    assert dates.order_of(["01.02.2020"]) == "dmy"
    assert dates.order_of(["2020-01-01"]) == "dmy"
    months = [f"{m:02d}/01/{y}" for y in (2019, 2020) for m in range(1, 13)]
    assert dates.order_of(months) == "mdy"  # the other order has no equal steps
    assert dates.order_of(["01/02/2020", "03/04/2020", "05/06/2020"]) is None


def days(*texts):
    return np.array(texts, "datetime64[s]")


@pytest.mark.parametrize(
    ("times", "name", "season"),
    [
        (days("2019-11-01", "2019-12-01", "2020-01-01"), "1 month", 12),
        (days("2019-11-30", "2019-12-31", "2020-01-31"), "1 month", 12),
        (days("2019-11-15", "2020-02-15", "2020-05-15"), "1 quarter", 4),
        (days("2019-01-01", "2020-01-01", "2021-01-01"), "1 year", 1),
        (days("2019-01-01", "2019-01-02", "2019-01-03"), "1 day", 7),
        (days("2019-01-01", "2019-01-08", "2019-01-15"), "1 week", 52),
        (days("2019-01-01T00", "2019-01-01T01", "2019-01-01T02"), "1 hour", 24),
        (days("2019-01-01T00:00", "2019-01-01T00:30", "2019-01-01T01:00"), "30 minutes", 48),
    ],
)
def test_the_step_and_its_usual_season(times, name, season):
    steps = dates.steps_of(times)
    assert (steps.name(), steps.season()) == (name, season)
    assert steps.positions.tolist() == [0, 1, 2]
    assert np.array_equal(dates.moved(times[0], steps, np.arange(3)), times)


def test_missing_rows_leave_their_places():
    steps = dates.steps_of(days("2020-01-01", "2020-02-01", "2020-03-01", "2020-06-01"))
    assert steps.positions.tolist() == [0, 1, 2, 5]
    assert dates.steps_of(days("2020-01-01", "2020-01-02", "2020-01-03T05", "2020-01-04")) is None
    assert dates.steps_of(days("2020-01-01", "2020-01-02")) is None


def test_weekends_are_no_gaps():
    some = np.busday_offset("2020-01-01", np.arange(15), roll="forward").astype("datetime64[s]")
    steps = dates.steps_of(some)
    assert (steps.name(), steps.season()) == ("1 weekday", 5)
    assert steps.positions.tolist() == list(range(15))
    later = dates.moved(some[0], steps, np.arange(15, 18))
    assert [str(day)[:10] for day in later] == ["2020-01-22", "2020-01-23", "2020-01-24"]


def test_years_with_a_fraction():
    months = 1949 + np.arange(30) / 12
    assert dates.decimal_years(np.round(months, 3)) == 12
    assert dates.decimal_years(np.arange(1700.0, 1720)) == 1
    for values in (
        np.arange(30.0),
        months[::-1],
        months[[0, 1, 2, 7, 8]],
        np.array([1949, np.nan]),
    ):
        assert dates.decimal_years(values) == 0


def test_the_calendar_turns_once_in_its_period():
    hours = np.arange("2023-12-31T00", "2024-01-02T00", dtype="datetime64[h]")
    day, week, year = (dates.calendar(hours, [p]) for p in ("day", "week", "year"))
    assert np.allclose(day[:24], day[24:]) and np.allclose(day[6], [1, 0])
    assert np.allclose(week[24], [0, 1])  # Monday, 1 January 2024
    assert np.allclose(year[24], [0, 1])
    assert dates.calendar(hours, ["day", "week"]).shape == (48, 4)


def test_the_calendar_refuses_what_is_no_date():
    with pytest.raises(TypeError, match="times: expected dates"):
        dates.calendar([1, 2], ["day"])
    with pytest.raises(ValueError, match="periods: expected 'day' or 'week' or 'year'"):
        dates.calendar(np.array(["2024-01-01"], "datetime64[D]"), ["month"])
