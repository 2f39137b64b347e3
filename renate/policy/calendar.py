"""Days, weeks, months and years, in UTC."""

from datetime import datetime, timedelta

UNITS = ("day", "week", "month", "year")


def beginning_of(moment: datetime, unit: str) -> datetime:
    """Return when the unit began that a moment is in; a week begins on Monday."""
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if unit == "day":
        return day
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)

    return day.replace(month=1, day=1)


def end_of(moment: datetime, unit: str) -> datetime:
    """Return when the unit ends that a moment is in, which is when the next one begins."""
    longest = {"day": 1, "week": 7, "month": 31, "year": 366}[unit]
    return beginning_of(beginning_of(moment, unit) + timedelta(days=longest), unit)
