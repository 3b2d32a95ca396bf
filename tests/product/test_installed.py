"""The product as a wheel: built, unpacked elsewhere, and run in an empty folder as its commands run it."""

from __future__ import annotations

import compileall
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.product.running_product import ROOT, Phone, RunningProduct

RUN_COMMAND = """
import sys
from importlib.metadata import entry_points
(command,) = entry_points(group="console_scripts", name=sys.argv.pop(1))
sys.exit(command.load()())
"""
"""What pip and uv write into the file of a command."""


def command(name: str) -> list[str]:
    return [sys.executable, "-c", RUN_COMMAND, name]


class InstalledProduct(RunningProduct):
    """Run by the command `relay`, with the current folder as settings folder."""

    flags = ("--demo",)

    def command(self) -> list[str]:
        return command("relay")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds what the wheel installs, compiled as pip leaves it, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").iterdir()
    zipfile.ZipFile(wheel).extractall(folder / "site-packages")
    assert compileall.compile_dir(folder / "site-packages", quiet=1)
    return folder / "site-packages"


@pytest.mark.processes
def test_an_empty_folder_gets_everything_and_the_code_s_folder_nothing(site: Path, tmp_path: Path) -> None:
    """Database and the launcher's files are in the folder where `relay` runs; the backup command finds them there."""
    before = set(site.rglob("*"))
    environment = {"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "DATABASE_URL": "", "LOG_DIR": "logs"}
    product = InstalledProduct(tmp_path, **environment)
    try:
        product.start()
        assert "Ann" in Phone(product, "telegram", "Ann").ask("/start")
        backup = [*command("relay-database"), "backup", "copy.db"]
        subprocess.run(backup, cwd=tmp_path, env={**product.environment, "SIMULATED": "true"}, check=True)
        assert product.stop() == 0
    finally:
        product.close()
    assert set(site.rglob("*")) == before
    assert {"messaging_users.simulated.db", "copy.db", "logs"} <= {path.name for path in tmp_path.iterdir()}


def test_the_wheel_holds_the_product_and_neither_tests_nor_secrets(site: Path) -> None:
    """One folder, the programs, the answers of the demo."""
    top = {path.name for path in site.iterdir() if not path.name.endswith((".dist-info", "__pycache__"))}
    assert top == {"relay", "faq.json", *(path.name for path in ROOT.glob("*.py"))}
    assert list(site.rglob("*.db")) + list(site.rglob(".env*")) == []


def test_the_wheel_asks_for_the_requirements_of_the_product(site: Path) -> None:
    """Those of requirements.txt, none of the tests."""
    (metadata,) = site.glob("*.dist-info/METADATA")
    lines = [line.partition(": ") for line in metadata.read_text().splitlines()]
    needed = {Requirement(value).name.lower() for key, _, value in lines if key == "Requires-Dist"}
    wanted = [line for line in (ROOT / "requirements.txt").read_text().splitlines() if line[:1] != "#"]
    assert needed == {Requirement(line).name.lower().replace(".", "-") for line in wanted}
