"""Files that PyTorch 1.13 wrote (`torch_files/`), read without it; `values.npz` has what PyTorch says is in them."""

import pickle
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from tfeff import TfeffError
from tfeff.weights.torch_layout import read_state_dict

FILES = Path(__file__).parent / "torch_files"
KINDS = ("zipped", "plain")  # since PyTorch 1.6, and before it


class Call:
    """What a file that runs code holds."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def rewritten(path, change):
    """The zipped file with another pickle."""
    with zipfile.ZipFile(FILES / "zipped.pth") as archive, zipfile.ZipFile(path, "w") as out:
        for name in archive.namelist():
            data = archive.read(name)
            out.writestr(name, change(data) if name.endswith("data.pkl") else data)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_pytorchs(kind):
    """Parameters, halves, bfloat16, doubles, integers, booleans, views with strides, tied and empty tensors."""
    state, expected = read_state_dict(FILES / f"{kind}.pth"), np.load(FILES / "values.npz")
    assert list(state) == expected.files
    for entry, value in state.items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, expected[entry])


@pytest.mark.parametrize("suffix", [".pt", ".bin"])
def test_other_suffixes(suffix, tmp_path):
    (tmp_path / f"a{suffix}").write_bytes((FILES / "plain.pth").read_bytes())
    assert "conv.weight" in read_state_dict(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("name", ["module", "module_plain"])
def test_a_whole_module_is_refused_by_name(name):
    with pytest.raises(TfeffError, match=r"holds more than tensors \(torch\.nn\.modules\.linear\.Linear\)") as raised:
        read_state_dict(FILES / f"{name}.pth")
    assert "state_dict()" in raised.value.mend


def test_what_is_no_dictionary_is_refused():
    with pytest.raises(TfeffError, match="no state dict"):
        read_state_dict(FILES / "list.pth")


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_never_runs(protocol, tmp_path):
    marker = tmp_path / "ran"
    code = pickle.dumps({"state_dict": Call(marker)}, protocol)
    rewritten(tmp_path / "a.pth", lambda _: code)
    (tmp_path / "b.pth").write_bytes(pickle.dumps(Call(marker), protocol))
    for name in "ab":
        with pytest.raises(TfeffError, match="holds more than tensors"):
            read_state_dict(tmp_path / f"{name}.pth")
    assert not marker.exists()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"K\x30", b"J\xff\xff\xff\x7f"),  # 48 elements, now 2^31
        (b"(K\x04K\x03K\x02K\x02t", b"(K\x04K\x03K\x02K\x04t"),  # shape beyond the storage
        (b"(K\x0cK\x04K\x02K\x01t", b"(K\x0cK\x04K\x02Jd\x00\xff\xfft"),  # a negative stride
    ],
)
def test_sizes_that_do_not_fit(old, new, tmp_path):
    def change(data):
        assert old in data
        return data.replace(old, new)

    with pytest.raises(TfeffError, match="damaged"):
        read_state_dict(rewritten(tmp_path / "a.pth", change))


def test_memory_is_bounded(tmp_path, peak_of):
    """A place in the pickle's memory that is far out, tensors that repeat one value, storages of any size."""
    far = rewritten(tmp_path / "far.pth", lambda data: data[:-1] + b"r\xff\xff\xff\x7f.")
    shape = b"(K\x04K\x03K\x02K\x02t", b"(J\xff\xff\xff\x00K\x01K\x01K\x01t"
    strides = b"(K\x0cK\x04K\x02K\x01t", b"(K\x00K\x00K\x00K\x00t"
    wide = rewritten(tmp_path / "wide.pth", lambda data: data.replace(*shape).replace(*strides))
    plain = (FILES / "plain.pth").read_bytes()
    size = (48).to_bytes(8, "little")
    assert size in plain
    (tmp_path / "long.pth").write_bytes(plain.replace(size, (1 << 40).to_bytes(8, "little")))

    def read_all():
        for path in (far, wide, tmp_path / "long.pth"):
            with suppress(TfeffError):
                read_state_dict(path)

    assert peak_of(read_all) < 4e6  # bytes


@pytest.fixture
def peak_of():
    import tracemalloc

    def peak(run):
        tracemalloc.start()
        try:
            run()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return peak


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(kind, tmp_path):
    """One error of ours, or other values; never another exception."""
    random, whole = np.random.default_rng(0), (FILES / f"{kind}.pth").read_bytes()
    (tmp_path / "a.pth").write_bytes(b"nothing")
    with pytest.raises(TfeffError, match="damaged"):
        read_state_dict(tmp_path / "a.pth")
    refused = 0
    for _ in range(200):
        data = bytearray(whole[: random.integers(1, len(whole) + 1)] if random.random() < 0.3 else whole)
        for place in random.integers(0, len(data), 3):
            data[place] = random.integers(256)
        (tmp_path / "a.pth").write_bytes(data)
        try:
            read_state_dict(tmp_path / "a.pth")
        except TfeffError:
            refused += 1
    assert refused > 50
