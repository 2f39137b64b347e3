"""What a tuned command asks for, checked before anything is written."""

from .settings import LIMITS
from .sweep_request import SweepRequest, lines_of

__all__ = ["LIMITS", "SweepRequest", "lines_of"]
