"""Public weight files: the registry's entries, and fetching from a real server that serves well, badly or not."""

import hashlib
import json
import re
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from cli_runner import assert_refused, tfeff
from golden_recipe import golden, images, save_safetensors

from tfeff import TfeffError, create
from tfeff.cli.model import Source, build_model
from tfeff.data import Preprocessing
from tfeff.networks import index
from tfeff.weights import public
from tfeff.weights.layouts import list_layouts

CONTENT = bytes(range(256)) * 1000
PREPROCESSING = Preprocessing(
    size=(224, 224), resize="cover", resize_size=(256, 256), mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
).as_dict()


class Server:
    """A server on this machine: `files` are what it has, `requests` what it was asked for."""

    def __init__(self):
        self.files, self.requests, self.cut = {}, [], 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.requests.append(self.path)
                content = server.files.get(self.path)
                if content is None:
                    return self.send_error(404)
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) - server.cut])

            def log_message(self, *words):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def url(self, name):
        return f"http://127.0.0.1:{self.http.server_port}/{name}"

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFEFF_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def entry(server, content=CONTENT, name="a.safetensors", **changes):
    """A registry entry for what the server has."""
    server.files[f"/{name}"] = content
    made = public.PublicFile(
        name="pp_lcnet_050.test", network="pp_lcnet_050", layout="timm", url=server.url(name),
        sha256=hashlib.sha256(content).hexdigest(), preprocessing=PREPROCESSING, licence="MIT", dataset="ImageNet-1k",
        top1=63.1, source="a test",
    )  # fmt: skip
    return replace(made, **changes)


def refusal(file):
    with pytest.raises(TfeffError) as raised:
        public.fetch(file)
    return raised.value


def test_fetched_once_whole_and_kept(server, cache):
    seen = []
    path = public.fetch(entry(server), lambda done, total: seen.append((done, total)))
    assert path == cache / "a.safetensors"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert public.fetch(entry(server)) == path
    assert server.requests == ["/a.safetensors"]
    assert [p.name for p in cache.iterdir()] == ["a.safetensors"]


def test_what_lies_in_the_cache_is_checked_too(server, cache):
    path = public.fetch(entry(server))
    path.write_bytes(CONTENT[:-1])
    assert public.fetch(entry(server)).read_bytes() == CONTENT
    assert len(server.requests) == 2


def test_a_prefix_of_the_hash_is_checked(server, cache):
    whole = hashlib.sha256(CONTENT).hexdigest()
    public.fetch(entry(server, sha256=whole[:8]))
    (cache / "a.safetensors").unlink()
    wrong = whole[:7] + ("0" if whole[7] != "0" else "1")
    assert "not " + wrong in refusal(entry(server, sha256=wrong)).what
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("there", [False, True])
def test_a_file_of_another_hash_is_thrown_away(server, cache, there):
    good = entry(server)
    if there:
        cache.mkdir()
        (cache / "a.safetensors").write_bytes(b"old")
    server.files["/a.safetensors"] = CONTENT[:-1] + b"x"
    error = refusal(good)
    assert good.url in error.what
    assert "sha256" in error.what
    assert [p.read_bytes() for p in cache.iterdir()] == ([b"old"] if there else [])


def test_a_file_cut_short(server, cache):
    server.cut = 1000
    error = refusal(entry(server))
    assert "cut short" in error.what
    assert f"{len(CONTENT) - 1000:,} of {len(CONTENT):,} bytes" in error.what
    assert list(cache.iterdir()) == []


def test_no_such_file_and_no_server(server, cache):
    file = entry(server)
    server.files.clear()
    error = refusal(file)
    assert "404" in error.what
    assert file.url in error.what
    server.stop()
    error = refusal(file)
    assert "cannot be fetched" in error.what
    assert error.mend == (
        "fetch it by hand, then: tfeff import-weights a.safetensors --network pp_lcnet_050 --out pp_lcnet_050.npz"
    )
    assert list(cache.iterdir()) == []
    server.http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)  # for the fixture to stop
    threading.Thread(target=server.http.serve_forever, daemon=True).start()


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file")
    monkeypatch.setenv("TFEFF_CACHE", str(tmp_path / "cache"))
    error = refusal(entry(server))
    assert f"cache folder {tmp_path / 'cache'}" in error.what
    assert "TFEFF_CACHE" in error.mend
    assert server.requests == []


def test_the_cache_is_in_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TFEFF_CACHE", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert public.cache_folder() == tmp_path / "tfeff"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert public.cache_folder() == Path.home() / ".cache" / "tfeff"


# the registry


@pytest.mark.parametrize("file", public.list_public(), ids=lambda file: file.name)
def test_every_entry_is_sound(file):
    assert file.name.startswith(f"{file.network}.")
    assert file.layout in list_layouts(index()[file.network]["family"], file.network)
    assert file.url.startswith("https://")
    assert re.fullmatch("[0-9a-f]{8,64}", file.sha256)
    assert len(file.sha256) == 64 or f"-{file.sha256}." in file.file  # printed in the name by who publishes it
    assert Preprocessing.from_dict(file.preprocessing).shape == tuple(index()[file.network]["input_shape"])
    assert file.licence
    assert (file.top1 is None) != (file.map is None)
    assert 50 < file.top1 < 80 if file.map is None else 15 < file.map < 45
    assert file.source
    if file.size_mib:  # the values in float32, and a little for the names
        assert file.size_mib * 2**20 == pytest.approx(4 * index()[file.network]["counted"]["values"], rel=0.015)


def test_names_are_unique_and_the_best_comes_first():
    files = public.list_public()
    assert len({file.name for file in files}) == len({file.url for file in files}) == len(files)
    for network in {file.network for file in files}:
        accuracies = [file.top1 or file.map for file in public.list_public(network)]
        assert accuracies == sorted(accuracies, reverse=True)


def test_finding_one():
    assert public.find_public("mobilenet_v2_100").name == "mobilenet_v2_100.timm_ra_in1k"
    assert public.find_public("mobilenet_v2_100", "pretrained:torchvision_v1").sha256 == "b0353104"
    assert public.find_public("mobilenet_v2_100", "pretrained:mobilenet_v2_100.torchvision_v1").sha256 == "b0353104"
    with pytest.raises(TfeffError, match="no public weight file 'v9'") as raised:
        public.find_public("mobilenet_v2_100", "pretrained:v9")
    assert "mobilenet_v2_100.torchvision_v2" in raised.value.mend
    with pytest.raises(TfeffError, match="vargnet_v1_025_g8: no public weight file is known") as raised:
        public.find_public("vargnet_v1_025_g8")
    assert "pp_lcnet_050" in raised.value.mend
    assert public.find_by_hash("mobilenet_v2_100", "b0353104" + "0" * 56).top1 == 71.878
    assert public.find_by_hash("mobilenet_v2_140", "b0353104" + "0" * 56) is None


# through the command line


@pytest.fixture
def registered(server, cache, tmp_path, monkeypatch):
    """The registry has one file, timm's PP-LCNet x0.5 with the weights of the golden recipe."""
    path = save_safetensors(tmp_path / "lcnet.safetensors", golden("timm_lcnet_050")[1])
    file = entry(server, path.read_bytes(), "lcnet.safetensors", notes=("a note of the publisher",))
    monkeypatch.setattr(public, "REGISTRY", tmp_path / "public.json")
    (tmp_path / "public.json").write_text(json.dumps([vars(file) | {"notes": list(file.notes)}]))
    return file


def test_pretrained_is_fetched_exported_and_told_in_the_record(capfd, tmp_path, server, cache, registered):
    options = ("--weights", "pretrained", "--float32", "--no-bench", "--out", tmp_path, "--json")
    ran = tfeff(capfd, "export", "pp_lcnet_050", *options)
    assert ran.code == 0, ran.err
    assert ran.json["inputs"][0]["preprocessing"] == PREPROCESSING
    assert ran.json["dataset"] == "ImageNet-1k"
    assert "a note of the publisher" in ran.json["notes"]
    assert any("MIT" in note and registered.sha256[:16] in note for note in ran.json["notes"])
    model = create("pp_lcnet_050", weights="pretrained")
    told, _, expected = golden("timm_lcnet_050")
    np.testing.assert_allclose(model(images(told), training=False), expected, atol=1e-4 * np.abs(expected).max())
    assert server.requests == ["/lcnet.safetensors"]
    with pytest.raises(TfeffError, match="classes=10"):
        create("pp_lcnet_050", weights="pretrained", classes=10)


def test_a_file_fetched_by_hand_is_known_by_its_hash(capfd, tmp_path, registered):
    ran = tfeff(capfd, "import-weights", tmp_path / "lcnet.safetensors", "--network", "pp_lcnet_050",
                "--out", tmp_path / "w.npz", "--json")  # fmt: skip
    assert (ran.json["public"], ran.json["licence"], ran.json["preprocessing"]) == (
        "pp_lcnet_050.test", "MIT", PREPROCESSING
    )  # fmt: skip
    source = Source("pp_lcnet_050", weights=str(tmp_path / "w.npz"), input_size=(112, 112), mean=(1.0,))
    model = build_model(source)
    told = model.image.preprocessing.as_dict()
    assert (told["crop"]["height"], told["resize"]["height"], told["resize"]["mode"]) == (112, 128, "cover")
    assert (told["mean"], told["std"]) == ([1, 1, 1], PREPROCESSING["std"])
    assert model.callable.input_shape == (None, 112, 112, 3)


def test_export_without_a_network_or_an_entry(capfd, tmp_path, server, cache, registered):
    server.files.clear()
    options = ("--weights", "pretrained", "--float32", "--no-bench", "--out", tmp_path / "out")
    ran = tfeff(capfd, "export", "pp_lcnet_050", *options)
    assert_refused(ran, registered.url, "by hand", "tfeff import-weights")
    assert_refused(tfeff(capfd, "export", "pp_lcnet_075", *options), "no public weight file is known")
    assert list((tmp_path / "out").iterdir()) == []


def test_list_shows_them(capfd):
    ran = tfeff(capfd, "list", "--pretrained", "mobilenet_v2*", "--json")
    assert "mobilenet_v2_100.torchvision_v2" in ran.err
    assert "BSD-3-Clause" in ran.err
    assert ran.json["public"]["mobilenet_v2_100.torchvision_v2"]["top1"] == 72.154
    assert all(name.startswith("mobilenet_v2") for name in ran.json["public"])
