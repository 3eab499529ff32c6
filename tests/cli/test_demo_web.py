"""`tfeff demo --web` as a user calls it."""

from pathlib import Path

from cli_runner import assert_refused, tfeff

from tfeff.web import site

pytest_plugins = ["web_models"]


def test_writes_a_page(make_artifact, tmp_path, capfd):
    path, folder = make_artifact(), tmp_path / "page"
    ran = tfeff(capfd, "demo", path, "--web", folder, "--json")
    assert ran.code == 0, ran.err
    written = {Path(file).relative_to(folder).as_posix() for file in ran.json["files"]}
    assert written == set(site([path]))
    assert sum((folder / name).stat().st_size for name in written) == ran.json["size_bytes"]
    assert "localhost" in ran.err
    assert_refused(tfeff(capfd, "demo", path, "--web", folder), "exists", "--force")
    assert tfeff(capfd, "demo", path, "--web", folder, "--force").code == 0


def test_refusals(make_artifact, tmp_path, capfd):
    path = make_artifact()
    assert_refused(tfeff(capfd, "demo", path), "--out", "--web")
    assert_refused(tfeff(capfd, "demo", path, "--web", tmp_path / "a", "--out", tmp_path / "b.apk"), "--out", "--web")
    assert_refused(tfeff(capfd, "demo", path, "--samples", tmp_path, "--out", tmp_path / "b.apk"), "--samples", "--web")
    assert_refused(tfeff(capfd, "demo", make_artifact("door", doors="int8"), "--web", tmp_path / "a"), "--target web")
    assert_refused(tfeff(capfd, "demo", tmp_path / "none.tflite", "--web", tmp_path / "a"), "no such file")
    assert not (tmp_path / "a").exists()
    assert not (tmp_path / "b.apk").exists()
