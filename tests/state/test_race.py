"""Of many publishers exactly one wins; the others are told, and keep their candidates."""

import multiprocessing
import queue
import threading
from typing import Any

import pytest

from renate.state.publish import candidates
from renate.state.versions import State

from .scenes import read_all
from .workers import compete

WORKERS = 8


def run_threads(url: str, rounds: int) -> list[tuple[int, str, Any]]:
    barrier = threading.Barrier(WORKERS)
    results = queue.Queue[tuple[int, str, Any]]()
    workers: list[Any] = [
        threading.Thread(target=compete, args=(url, f"t{i}", rounds, barrier, results))
        for i in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return [results.get_nowait() for _ in range(WORKERS * rounds)]


def run_processes(url: str, rounds: int) -> list[tuple[int, str, Any]]:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["renate.state.gc", "renate.state.publish"])
    barrier = context.Barrier(WORKERS)
    results = context.Queue()
    workers = [
        context.Process(target=compete, args=(url, f"p{i}", rounds, barrier, results))
        for i in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=60) for _ in range(WORKERS * rounds)]
    for worker in workers:
        worker.join()
        worker.close()
    results.close()
    results.join_thread()
    return found


@pytest.mark.parametrize(("run", "rounds"), [(run_threads, 10), (run_processes, 10)])
def test_one_winner_each_round(state: State, run: Any, rounds: int) -> None:
    outcomes = run(state.url, rounds)
    assert state.versions() == list(range(1, rounds + 1))
    losers = set()
    for i in range(rounds):
        mine = {job: outcome for round_, job, outcome in outcomes if round_ == i}
        (winner,) = (job for job, outcome in mine.items() if isinstance(outcome, int))
        assert mine.pop(winner) == i + 1
        published = state.verify(i + 1)
        assert (published.job, read_all(state, published)["who"]) == (winner, winner.encode())
        told = f"version {i + 1} was published by job '{winner}' meanwhile; the candidate of job"
        assert all(told in outcome for outcome in mine.values())
        losers |= set(mine)
    kept = {candidate.job: candidate for candidate in candidates(state)}
    assert set(kept) == losers
    for job, candidate in kept.items():
        assert read_all(state, candidate)["who"] == str(job).encode()
