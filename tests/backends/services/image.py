"""What stands for the container's image: a Python of its own over an interpreter's packages."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

QUESTION = """import json, sys
packages = [path for path in sys.path if path.endswith("-packages")]
print(json.dumps([sys._base_executable, "%d.%d" % sys.version_info[:2], packages]))"""


@dataclass
class Image:
    """An interpreter whose packages a job sees and can't change."""

    base: str
    version: str
    packages: list[str]

    @classmethod
    def of(cls, python: str) -> "Image":
        asked = subprocess.run(
            [python, "-I", "-c", QUESTION], check=True, capture_output=True, text=True
        )
        return cls(*json.loads(asked.stdout))

    def layer(self, folder: Path) -> dict[str, str]:
        """Lay a virtual environment over the packages: what pip installs stays in it. Returns the
        image's environment.

        The packages come by plain lines, so the .pth files beside them don't count: what is
        installed there as editable, renate itself, is not in the image.
        """
        site = folder / f"lib/python{self.version}/site-packages"
        site.mkdir(parents=True)
        (folder / "bin").mkdir()
        (folder / "tmp").mkdir()
        (folder / "pyvenv.cfg").write_text(
            f"home = {Path(self.base).parent}\ninclude-system-site-packages = false\n"
        )
        (site / "image.pth").write_text("".join(f"{folder}\n" for folder in self.packages))
        for name in ("python3", "python"):
            (folder / "bin" / name).symlink_to(self.base)
        mine = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("PIP_") or name == "SSL_CERT_FILE"
        }
        settings = Path.home() / ".config/pip/pip.conf"
        # Where packages come from is the machine's affair, and HOME is another here
        if settings.is_file():
            mine.setdefault("PIP_CONFIG_FILE", str(settings))
        return mine | {
            "PATH": f"{folder}/bin:{os.defpath}",
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "LANG": "C.UTF-8",
            "no_proxy": "127.0.0.1,localhost",
        }
