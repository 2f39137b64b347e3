"""Keep a trained PyTorch model up to date as new data arrives."""

from pathlib import Path

# conf/ and launchers/ are renate.conf and renate.launchers: inside this package in a wheel, beside it in a checkout.
if not (Path(__file__).parent / "conf").is_dir():
    __path__.append(str(Path(__file__).parents[1]))
