"""Weeks and months of the calendar, and the policy that goes by them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renate.errors import ConfigError
from renate.jobs.detecting.situation import JobSituation
from renate.policy.calendar import UNITS, beginning_of, end_of
from renate.policy.simple import Calendar

MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


@given(MOMENTS, st.sampled_from(UNITS))
def test_units_follow_one_another_without_a_gap(moment: datetime, unit: str) -> None:
    begin = beginning_of(moment, unit)
    end = end_of(moment, unit)
    assert begin <= moment < end
    assert beginning_of(end, unit) == end
    assert beginning_of(end - timedelta(microseconds=1), unit) == begin
    assert (begin.hour, begin.minute, begin.second, begin.microsecond) == (0, 0, 0, 0)
    if unit == "week":
        assert begin.isoweekday() == 1
        assert end - begin == timedelta(days=7)


class Known(JobSituation):
    """Two moments."""

    def __init__(self, made: str, now: str) -> None:
        self._made = datetime.fromisoformat(made).replace(tzinfo=UTC)
        self._now = datetime.fromisoformat(now).replace(tzinfo=UTC)

    def made(self) -> datetime:
        return self._made

    def now(self) -> datetime:
        return self._now


@pytest.mark.parametrize(
    ("every", "made", "now", "is_due"),
    [
        ("week", "2024-01-08T02:07", "2024-01-15T02:00", True),  # seven minutes below seven days
        ("week", "2024-01-08T00:00", "2024-01-14T23:59", False),
        ("month", "2024-01-31T12:00", "2024-02-01T00:00", True),
        ("month", "2024-02-01T00:00", "2024-02-29T00:00", False),
        ("year", "2023-12-31T00:00", "2024-01-01T00:00", True),
        ("day", "2024-01-01T00:00", "2024-01-01T23:00", False),
        ("week", "2024-03-01T00:00", "2024-02-01T00:00", False),
    ],
)
def test_once_in_each(every: str, made: str, now: str, is_due: bool) -> None:
    decision = Calendar(every).decide(Known(made, now))
    assert decision.is_due is is_due
    assert made[:10] in decision.reasons[0]


def test_other_units_are_refused() -> None:
    with pytest.raises(ConfigError, match="policy.every=weekly: expected day, week.*week"):
        Calendar("weekly")
