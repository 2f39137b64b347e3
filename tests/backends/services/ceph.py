"""Ceph's S3 gateway on loopback, in memory: it checks signatures, which moto doesn't. `python -m
…ceph [--port N]`.

Debian: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common. Ready in
about 12 seconds.
"""

import argparse
import contextlib
import fcntl
import random
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

from .isolation import TIED

BINARIES = ("radosgw", "ceph-mon", "ceph-osd", "ceph", "radosgw-admin", "monmaptool")
REGION = "us-east-1"  # any other is refused
KEY = "testing"  # the id and the secret
READY = 60.0  # seconds

CONFIG = """
[global]
fsid = {fsid}
mon host = [v1:127.0.0.1:{monitor}]
auth cluster required = none
auth service required = none
auth client required = none
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
mon cluster log file = {folder}/cluster.log
pid file = {folder}/$name.pid
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 8
osd crush chooseleaf type = 0
mon max pg per osd = 1000
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind msgr2 = false
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{port}
rgw data = {folder}
"""


def why_not() -> str | None:
    """Why it can't run here; None if it can."""
    missing = [name for name in BINARIES if shutil.which(name) is None]
    return f"Ceph's {', '.join(missing)} not installed" if missing else None


@contextlib.contextmanager
def gateway(folder: Path, port: int = 0) -> Iterator[str]:
    """A monitor, a store in memory and the gateway; its address. All end with this process."""
    fsid = str(uuid4())
    monitor = free_port()
    port = port or free_port()
    for name in ("mon", "osd"):
        (folder / name).mkdir()
    config = folder / "ceph.conf"
    config.write_text(CONFIG.format(fsid=fsid, monitor=monitor, folder=folder, port=port))
    at = f"[v1:127.0.0.1:{monitor}]"
    with contextlib.ExitStack() as stack:
        # One at a time: of two that started side by side on two cores one did not come up.
        turn = stack.enter_context((Path(tempfile.gettempdir()) / "renate-ceph.lock").open("w"))
        fcntl.flock(turn, fcntl.LOCK_EX)

        def run(command: str, *arguments: str) -> None:
            whole = [command, "-c", str(config), *arguments]
            done = subprocess.run(whole, cwd=folder, capture_output=True, text=True, timeout=READY)
            if done.returncode:
                raise CephError(f"{' '.join(whole)}: {done.stderr.strip()}; logs are in {folder}")

        def serve(command: str, *arguments: str) -> subprocess.Popen[bytes]:
            whole = [*TIED, command, "-f", "-c", str(config), *arguments]
            return stack.enter_context(
                ended(subprocess.Popen(whole, cwd=folder, stdout=quiet, stderr=quiet))
            )

        quiet = stack.enter_context((folder / "output.log").open("w"))
        run("monmaptool", "--create", "--addv", "a", at, "--fsid", fsid, "--clobber", "monmap")
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap")
        serve("ceph-mon", "-i", "a")
        store = str(uuid4())
        # A monitor that has only begun to listen refuses: "problem getting command descriptions".
        persist(lambda: run("ceph", "--connect-timeout", "20", "osd", "new", store))
        # The same id, or the monitor ignores its boot
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", store)
        osd = serve("ceph-osd", "-i", "0")
        serve("radosgw", "-n", "client.rgw")
        address = f"http://127.0.0.1:{port}"

        def check() -> None:
            nonlocal osd
            # Now and then it asks the monitor before it knows whose it is: "wrong fsid"
            if osd.poll() is not None:
                osd = serve("ceph-osd", "-i", "0")
            if not answers(address):
                raise CephError(
                    f"Ceph's gateway isn't up after {READY:.0f} seconds; its logs are in {folder}"
                )

        persist(check)
        user = [
            "user",
            "create",
            "--uid=t",
            "--display-name=t",
            f"--access-key={KEY}",
            f"--secret-key={KEY}",
        ]
        run("radosgw-admin", *user)
        yield address


class CephError(RuntimeError):
    """A command of Ceph's that failed, with what it wrote, or its gateway, which didn't come up."""


def persist(call: Callable[[], None]) -> None:
    """Call, and again for as long as it may take Ceph to come up, until it succeeds."""
    end = time.monotonic() + READY
    while True:
        try:
            return call()
        except CephError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


@contextlib.contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()  # nothing of it is to stay
        process.wait()


def free_port() -> int:
    """Below those that connections get as their own end: one of these could take it before Ceph
    does.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise OSError("none of 100 ports is free")


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description="Ceph's S3 gateway on this machine, until Ctrl-C.")
    parser.add_argument("--port", type=int, default=0)
    port = parser.parse_args().port
    if reason := why_not():
        raise SystemExit(reason)
    with contextlib.suppress(KeyboardInterrupt), contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        address = stack.enter_context(gateway(Path(folder), port))
        print(f"{address}, region {REGION}, key and secret '{KEY}'; Ctrl-C ends it", flush=True)
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main()
