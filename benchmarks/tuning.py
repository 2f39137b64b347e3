"""What a tuner costs and what it finds: `python benchmarks/tuning.py
rate|record|quality|live|transfer|cost`.

rate      Trivial trials a minute with two workers, against other ways to run them, on this machine.
record    Learning curves of 200 configurations × 5 seeds, once per task, into
benchmarks/results/curves_*.json; hours. quality   Every tuner replayed on these curves with a
simulated clock and two workers, 60 seeds. live      The default and random by real sweeps, at equal
epochs, beside what the replay says of them. transfer  A second and a third update tuned with and
without the history of those before, 60 seeds, on curves. cost      The sweep's own time and memory:
10,000 simulated trials on 1,000 workers.

Recorded curves stand for training (`curves.py`).
"""

import argparse

from machine import RESULTS
from recording import BASES, record
from tuning_cost import cost, rate
from tuning_quality import live, quality
from tuning_transfer import transfer


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["rate", "record", "quality", "live", "transfer", "cost"])
    parser.add_argument("--task", choices=sorted(BASES), default="digits", help="of record")
    parser.add_argument("--configs", type=int, default=200, help="of record")
    parser.add_argument("--seeds", type=int, default=5, help="of record")
    parser.add_argument("--epochs", type=int, default=27, help="of record")
    parser.add_argument("--trials", type=int, default=10_000, help="of cost")
    parser.add_argument("--live-seeds", type=int, default=20, help="of live")
    asked = parser.parse_args()

    if asked.what == "record":
        record(asked.task, asked.configs, asked.seeds, asked.epochs)
    elif asked.what == "quality":
        quality(
            task
            for task in ("digits", "digits_update", "mnist")
            if (RESULTS / f"curves_{task}.json").exists()
        )
    elif asked.what == "cost":
        cost(asked.trials, 1000)
    elif asked.what == "live":
        live(asked.live_seeds)
    else:
        {"rate": rate, "transfer": transfer}[asked.what]()


if __name__ == "__main__":
    main()
