"""The part of `benchmarks/faults.py --store s3` that orders faults of S3: every request of an
update, every fault.
"""

import os
from collections import Counter
from pathlib import Path

from kills import check, publish_one
from loopback import Loopback

from renate.errors import RenateError
from renate.state.publish import candidates, publish
from renate.state.versions import State

FAULTS: dict[str, dict[str, object]] = {
    "500": {"action": "status", "status": 500, "code": "InternalError"},
    "503": {"action": "status", "status": 503, "code": "SlowDown"},
    "409": {"action": "status", "status": 409, "code": "OperationAborted"},
    "403": {"action": "status", "status": 403, "code": "AccessDenied"},
    "expired": {"action": "status", "status": 400, "code": "ExpiredToken", "times": -1},
    "dropped": {"action": "drop"},
    "reply lost": {"action": "lose_reply"},
    "stalled": {"action": "stall", "seconds": 1.5},
    "download cut": {"action": "cut"},
    "upload cut": {"action": "cut_upload"},
}
LARGE = 20 << 20  # bytes of one file, so that it goes up in parts
TIMEOUT = "1s"


def inject(services: Loopback, folder: Path) -> list[str]:
    """Let each request fail once in each way; return the rows of a table."""
    os.environ["AWS_TIMEOUT"] = TIMEOUT
    rows = []

    for name, rule in FAULTS.items():
        ledger = folder / name.replace(" ", "-")
        ledger.mkdir()
        outcomes = one_fault(services, State(f"{services.bucket}/{ledger.name}"), str(ledger), rule)
        rows.append(
            f"| {name} | {sum(outcomes.values())} | "
            f"{'; '.join(f'{n} × {o}' for o, n in outcomes.items())} |"
        )

    del os.environ["AWS_TIMEOUT"]

    return rows


def one_fault(
    services: Loopback, state: State, ledger: str, rule: dict[str, object]
) -> Counter[str]:
    """One update after another on one state; the n-th meets the fault at its n-th request."""
    services.order()
    publish_one(state, None, ledger, "job-0", 0, large=LARGE)
    outcomes: Counter[str] = Counter()

    while True:
        number = sum(outcomes.values()) + 1
        job = f"job-{number}"
        parent = state.manifest(number)
        services.order(rule | {"nth": number})
        try:
            publish_one(state, parent, ledger, job, number, large=LARGE)
            outcome = "went through"
        except RenateError:
            outcome = "failed"

        met = len(services.log()) >= number
        services.order()
        if outcome == "failed":
            outcome += recover(state, ledger, job, number)

        manifest = state.manifest(number + 1)
        assert manifest.lineage["job"] == job
        if not met:
            check(state, ledger)
            assert state.versions() == list(range(1, number + 2))
            return outcomes

        state.check(manifest)
        outcomes[outcome] += 1


def recover(state: State, ledger: str, job: str, number: int) -> str:
    """Do what a user does; says what it was."""
    if number + 1 in state.versions():
        return ", the version is whole"
    if job in [candidate.job for candidate in candidates(state)]:
        publish(state, job)
        return ", no version, the candidate was published"

    publish_one(state, state.manifest(number), ledger, job, number, large=LARGE)
    return ", no version, the next try succeeded"
