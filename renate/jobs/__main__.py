"""`python -m renate.jobs DIR` runs a job directory; `--serve FD` is a warm worker."""

import sys
from pathlib import Path


def main() -> None:
    if sys.argv[1] == "--serve":
        from renate.jobs.serve import serve

        serve(int(sys.argv[2]))
        return
    from renate.jobs.execute import execute

    result = execute(Path(sys.argv[1]))
    sys.exit(f"renate: {result['error']}" if result["status"] == "failed" else 0)


main()
