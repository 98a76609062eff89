"""Pictures are decoded once: what was kept is the same, and damage or a change is noticed."""

import pytest
from test_readers import write_folder, write_image

from nnc.data import readers
from nnc_book import pictures


@pytest.fixture
def decoded(monkeypatch):
    """The pictures that were decoded."""
    found, decode = [], readers._pixels
    monkeypatch.setattr(readers, "_pixels", lambda path: found.append(path) or decode(path))
    return found


def test_pictures_are_decoded_once(tmp_path, decoded):
    folder = write_folder(tmp_path / "cifar10-jpeg")

    def read():
        before = len(decoded)
        data = pictures.load("cifar10-jpeg", tmp_path)
        assert data.train.images[:, 0, 0, 0].tolist() == [0, 1, 10, 11]
        assert data.classes == ("ant", "bee")
        return len(decoded) - before, int(data.test.images[0, 0, 0, 0])

    assert [read(), read()] == [(6, 0), (0, 0)]
    kept = folder / ".decoded.safetensors"
    whole = kept.read_bytes()
    for damaged in (b"", whole[:50], whole[:-1] + bytes([whole[-1] ^ 1])):
        kept.write_bytes(damaged)
        assert [read(), read()] == [(6, 0), (0, 0)]
    write_image(folder / "test" / "ant" / "0.png", 7)
    assert [read(), read()] == [(6, 7), (0, 7)]


def test_a_folder_that_cannot_be_written_is_read_all_the_same(tmp_path, decoded):
    folder = write_folder(tmp_path / "cifar10-jpeg")
    (folder / ".decoded.safetensors").mkdir()
    assert len(pictures.load("cifar10-jpeg", tmp_path).train) == 4


def test_other_data_sets_are_read_as_they_are(tmp_path):
    assert len(pictures.load("mnist-5k").train) == 4000
    assert len(pictures.load(write_folder(tmp_path)).train) == 4
    with pytest.raises(FileNotFoundError, match="cannot be downloaded"):
        pictures.load("cifar10-jpeg", tmp_path, download=False)
