"""What ships is what the sources build: npm's answer, not ours."""

import gzip
import shutil
import subprocess
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "tfeff" / "web" / "page"
BUILT = PAGE.parent / "built"


def test_the_built_page_is_what_the_sources_build(tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("no npm to build the page with")
    shutil.copytree(PAGE, tmp_path / "page", ignore=shutil.ignore_patterns("node_modules"))
    installed = subprocess.run(["npm", "ci", "--ignore-scripts"], cwd=tmp_path / "page", capture_output=True, text=True)
    if installed.returncode:
        pytest.skip(f"npm cannot fetch what the page is built with: {installed.stderr.strip().splitlines()[-1:]}")
    made = tmp_path / "built"
    ran = subprocess.run(["node", "build.mjs", str(made)], cwd=tmp_path / "page", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    names = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(BUILT).as_posix() for path in BUILT.rglob("*") if path.is_file())
    for name in names:
        ours, theirs = (folder / name for folder in (BUILT, made))
        if name.endswith(".gz"):  # another zlib packs otherwise
            assert gzip.decompress(ours.read_bytes()) == gzip.decompress(theirs.read_bytes()), name
        else:
            assert ours.read_bytes() == theirs.read_bytes(), f"{name}: run `npm run build` in tfeff/web/page"


def test_the_lock_names_versions_and_no_addresses():
    text = (PAGE / "package-lock.json").read_text(encoding="utf-8")
    assert '"integrity"' in text
    assert '"resolved"' not in text
