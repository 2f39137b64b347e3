"""The commands of docs/how_to/sagemaker.md, against the loopback services."""

import re
import subprocess
from pathlib import Path

from tests.command import RENATE
from tests.conftest import ROOT

from .services.start import Services


def test_commands(aws: Services, workdir: Path) -> None:
    (block,) = re.findall(r"```bash\n(.*?)```", (ROOT / "docs/how_to/sagemaker.md").read_text(), re.DOTALL)
    place = f"ROLE={aws.role} BUCKET={aws.bucket}"
    script = re.sub(r"ROLE=\S+ BUCKET=\S+", place, block).replace("renate ", f"{' '.join(RENATE)} ")
    done = subprocess.run(["bash", "-ec", script], cwd=workdir, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[-2:]] == ["1", "2"]
