"""`python -m renate.jobs DIR [--events FD]` runs a job directory; `--serve FD` is a warm worker."""

import json
import os
import sys
from pathlib import Path


def main() -> None:
    if sys.argv[1] == "--serve":
        from renate.jobs.serve import serve

        serve(int(sys.argv[2]))
        return
    from renate.jobs.execute import execute

    events = int(sys.argv[3]) if sys.argv[2:3] == ["--events"] else None

    def emit(event: dict[str, object]) -> None:
        if events is not None:
            os.write(events, json.dumps(event).encode() + b"\n")

    result = execute(Path(sys.argv[1]), emit)
    failed = result["status"] == "failed"
    sys.exit(int(failed) if events is not None or not failed else f"renate: {result['error']}")


main()
