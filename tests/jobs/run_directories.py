"""Run job directories one after another, all in the same processes: several tests share one
start of torch.
"""

import sys
from pathlib import Path

from renate.jobs.running.execute import execute
from renate.jobs.running.serve import leaving
from renate.ranks import Ranks

if __name__ == "__main__":
    with leaving():
        ranks = Ranks.from_environment()
        for folder in sys.argv[1:]:
            print(ranks.rank, folder, execute(Path(folder), ranks=ranks).status, flush=True)
