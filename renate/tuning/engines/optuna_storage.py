"""Where an Optuna study is kept that several machines share."""

from pathlib import Path
from typing import Any

from renate.errors import ConfigError


def open_storage(storage: str) -> Any:
    """Open what several machines keep one study in.

    Args:
        storage: The URL of a database, or the path of a journal file, which is made if absent.

    Raises:
        ConfigError: The database needs a package that isn't installed.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if "://" in storage:
        try:
            return RDBStorage(storage, engine_kwargs=_pool(storage))
        except ImportError as error:
            raise ConfigError(
                f"{storage.partition(':')[0]} storage needs a package: {error}"
            ) from error

    path = Path(storage)
    path.parent.mkdir(parents=True, exist_ok=True)
    _mend(path)

    return JournalStorage(JournalFileBackend(str(path)))


def _pool(storage: str) -> dict[str, Any]:
    """How connections are kept: those to a file not at all, since nobody would close them."""
    from sqlalchemy.pool import NullPool

    return {"poolclass": NullPool} if storage.startswith("sqlite") else {}


def _mend(path: Path) -> None:
    """Cut the half line that a killed process has left: the next one written would be glued to
    it.
    """
    from optuna.storages.journal import JournalFileSymlinkLock

    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()  # or it may be a living process's

    try:
        if path.exists():
            with path.open("r+b") as file:
                file.truncate(file.read().rfind(b"\n") + 1)
    finally:
        lock.release()
