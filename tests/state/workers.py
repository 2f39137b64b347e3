"""What other processes do; importable by them."""

import os
import random
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event

from renate.errors import ConflictError
from renate.state.gc import gc
from renate.state.publish import publish, rollback, stage
from renate.state.versions import State


def publish_for_ever(url: str, seed: int, ready: Event) -> None:
    """Publish, roll back and collect until killed."""
    state = State(url)
    draw = random.Random(seed)
    ready.set()
    for i in range(10**6):
        newest = state.newest()
        files = [(f"f{n}", os.urandom(draw.choice([10, 100_000]))) for n in range(6)]
        job = f"w{seed}-{i}"
        stage(state, files, job=job, parent=(state, newest) if newest else None, lineage={})
        version = publish(state, job).base + 1
        if draw.random() < 0.3 and version > 1 and version - 1 in state.versions():
            rollback(state, version - 1)
        if draw.random() < 0.3:
            gc(state, keep=2, grace=0)  # valid: nobody else is here


def compete(url: str, name: str, rounds: int, barrier: Barrier, results: Queue) -> None:  # type: ignore[type-arg]
    """In each round all stage on the same version, then all publish at once."""
    state = State(url)
    for i in range(rounds):
        newest = state.newest()
        job = f"{name}-{i}"
        files = [("who", job.encode()), ("same", b"same")]
        stage(state, files, job=job, parent=(state, newest) if newest else None, lineage={})
        barrier.wait(60)
        try:
            results.put((i, job, publish(state, job).version))
        except ConflictError as error:
            results.put((i, job, str(error)))
        barrier.wait(60)
