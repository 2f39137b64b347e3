"""What makes a process a container here: namespaces, and an end with the process that started
it.
"""

import os
import subprocess

# Also a killed server takes its containers with it. Inside the user namespace, whose creation would
# undo it.
TIED = ["setpriv", "--pdeathsig", "KILL"]
NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def isolation() -> list[str]:
    return [*([] if os.geteuid() == 0 else ["unshare", "--map-root-user"]), *TIED, *NAMESPACES]


def why_not() -> str | None:
    """Why no container can run here; None if one can."""
    try:
        done = subprocess.run([*isolation(), "true"], capture_output=True, text=True, timeout=20)
    except FileNotFoundError as error:
        return f"{error.filename} is not installed"
    return done.stderr.strip() or "unshare fails" if done.returncode else None
