"""`python -m renate.jobs DIR` runs a job directory, also as one of several processes; `--serve
FD` is a warm worker.
"""

import sys
from pathlib import Path


def main() -> None:
    """Do what the command line says: serve as a warm worker, or run a job directory and end the
    process, with exit code 0 only if the job hasn't failed.
    """
    if sys.argv[1] == "--serve":
        from renate.jobs.running.serve import serve

        serve(int(sys.argv[2]))
        return

    from renate.jobs.running.serve import leaving

    with leaving():
        if len(sys.argv) > 2:
            from renate.jobs.running.serve import attend

            result = attend(Path(sys.argv[1]), Path(sys.argv[2]))
        else:
            from renate.jobs.running.execute import execute
            from renate.ranks import Ranks

            result = execute(Path(sys.argv[1]), ranks=Ranks.from_environment())

        sys.exit(f"renate: {result.reason}" if result.failed else 0)


main()
