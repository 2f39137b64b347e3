"""Every generator has a seed of its own: a function of the run's seed, a purpose and perhaps the
update.
"""

import hashlib


def derive(seed: int, purpose: str, update: int | None = None) -> int:
    """Return a 63-bit seed. Purposes are independent of each other; `update=None` is the same in
    every update.
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{update}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
