"""The exit status of job=detect: schedulers act on it."""

from types import SimpleNamespace
from typing import Any

import pytest

from renate.errors import JobError
from renate.jobs.records import COMPLETED, STOPPED, SUBMITTED, JobResult
from renate.launchers.sweeps.sweeper import WAITING, _check_outcome


def job(name: str = "detect") -> Any:
    return SimpleNamespace(kind=name)


def said(decision: str) -> JobResult:
    return JobResult(COMPLETED, decision={"decision": decision, "reasons": []})


def test_an_update_that_is_due_ends_with_0() -> None:
    _check_outcome([(job(), said("update"))])
    _check_outcome([(job(), said("wait")), (job(), said("update"))])
    _check_outcome([(job("update"), said("wait"))])
    _check_outcome([(job("update"), JobResult(SUBMITTED))])


@pytest.mark.parametrize("count", [1, 3])
def test_where_all_say_wait_it_is_10(count: int) -> None:
    with pytest.raises(SystemExit) as end:
        _check_outcome([(job(), said("wait"))] * count)
    assert end.value.code == WAITING == 10


@pytest.mark.parametrize("status", [SUBMITTED, STOPPED])
def test_what_has_not_decided_is_an_error(status: str) -> None:
    """Neither 0 nor 10: nobody must take it for an answer."""
    with pytest.raises(JobError, match="job=detect ended without a decision"):
        _check_outcome([(job(), JobResult(status))])
    with pytest.raises(JobError, match="1 of 2 jobs failed"):
        _check_outcome([(job(), said("wait")), (job(), JobResult.failure("broken"))])
