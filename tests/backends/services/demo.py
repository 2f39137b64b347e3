"""`python -m tests.backends.services.demo`: the chain that docs/how_to/sagemaker.md tells of, on
this machine.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .isolation import why_not
from .start import Services, services

COMMANDS = [
    "renate backend=sagemaker backend.role=$RENATE_AWS_ROLE backend.instance_type=ml.m5.xlarge "
    "state.url=s3://$RENATE_AWS_BUCKET/state state.first=true",
    "renate backend=sagemaker backend.role=$RENATE_AWS_ROLE backend.instance_type=ml.m5.xlarge "
    "state.url=s3://$RENATE_AWS_BUCKET/state seed=1 backend.wait=false",
    "renate jobs wait latest --backend sagemaker",
    "renate jobs ls --backend sagemaker",
    "renate state ls s3://$RENATE_AWS_BUCKET/state",
]


def environment(running: Services) -> dict[str, str]:
    """This shell's, but for what would lead past the services."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    elsewhere = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "no_proxy": "127.0.0.1",
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), mine.get("PATH", os.defpath)])
    return mine | running.environment | elsewhere | {"PATH": path}


def main() -> int:
    if reason := why_not():
        sys.exit(f"no namespaces for containers here: {reason}")
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="renate-demo-") as folder,
        services(Path(folder, "services")) as running,
    ):
        print(f"S3 at {running.s3}, SageMaker at {running.sagemaker}, both on this machine alone")
        for command in COMMANDS:
            print(f"\n$ {command}", flush=True)
            done = subprocess.run(["bash", "-c", command], cwd=folder, env=environment(running))
            if done.returncode:
                return done.returncode
    print(
        f"\n{time.monotonic() - began:.0f} seconds; both services have ended, and nothing is left "
        "of them"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
