"""Weights files: plain, byte-deterministic, atomic; damage and malice end in one clear error."""

import io
import json
import os
import stat
import time
import zipfile

import numpy as np
import pytest
from processes import read_until, running

import numcnn
from numcnn import CheckpointError, Dense, Network
from numcnn.files import atomic_write
from numcnn.nn import checkpoint

pytestmark = pytest.mark.once


@pytest.fixture
def saved(tmp_path):
    network = Network([Dense(4)], (3,), backend="reference", seed=1)
    path = tmp_path / "net.npz"
    network.save(path)
    return path


def rewrite(path, change):
    """Write the file anew with its members changed: ``change(dict of name -> bytes)``."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def test_numpy_opens_it_without_pickle_and_the_text_is_readable(saved):
    with np.load(saved, allow_pickle=False) as arrays:
        assert arrays["dense1.w"].shape == (3, 4)
    meta = json.loads(zipfile.ZipFile(saved).read("meta.json"))
    assert meta["format"] == "numcnn" and meta["version"] == 1
    assert meta["architecture"] == [{"type": "Dense", "units": 4, "init": "he_normal"}]


def test_equal_content_gives_equal_bytes_whenever_it_is_written(saved, tmp_path, monkeypatch):
    later = time.time() + 1e6
    monkeypatch.setattr(time, "time", lambda: later)
    Network([Dense(4)], (3,), backend="fast", seed=1).save(tmp_path / "other.npz")
    assert (tmp_path / "other.npz").read_bytes() == saved.read_bytes()


@pytest.mark.parametrize("name", ["canonical", "everyone"])
def test_what_is_shipped_is_written_again_byte_for_byte(name, tmp_path):
    network = numcnn.load(name)
    network.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (checkpoint.weights_folder() / f"{name}.npz").read_bytes()


def test_file_mode_is_readable_by_all_and_nothing_else_is_left(saved):
    assert stat.S_IMODE(saved.stat().st_mode) == 0o644
    assert os.listdir(saved.parent) == ["net.npz"]


def set_meta(**changes):
    def change(members):
        meta = json.loads(members["meta.json"])
        members["meta.json"] = json.dumps({**meta, **changes}).encode()

    return change


def set_bias(data):
    return lambda members: members.update({"dense1.b.npy": data})


DAMAGE = {
    "of another program": (lambda m: m.pop("meta.json"), "it holds no meta.json, so it isn't a numcnn weights file"),
    "meta is no JSON": (lambda m: m.update({"meta.json": b"{"}), "its meta.json cannot be read"),
    "meta is a list": (lambda m: m.update({"meta.json": b"[]"}), "it isn't a numcnn weights file"),
    "meta is not text": (lambda m: m.update({"meta.json": b"\xff\xfe\x00"}), "its meta.json cannot be read"),
    "meta is deep": (lambda m: m.update({"meta.json": b"[" * 100_000}), "its meta.json cannot be read"),
    "meta is huge": (lambda m: m.update({"meta.json": b" " * (1 << 21)}), "its meta.json is larger than"),
    "a later version": (set_meta(version=99), "its format is version 99 and this numcnn reads version 1"),
    "another program's": (set_meta(format="other"), "it isn't a numcnn weights file"),
    "an unknown layer": (set_meta(architecture=[{"type": "Attention"}]), "layer type 'Attention', which numcnn does"),
    "a layer with a wrong argument": (set_meta(architecture=[{"type": "Dense", "units": -4}]), "Dense units is -4"),
    "a layer with an unknown argument": (set_meta(architecture=[{"type": "Dense", "x": 1}]), "no valid network"),
    "no layers but a number": (set_meta(architecture=3), "it describes no valid network"),
    "no normalisation": (set_meta(normalisation={}), "it describes no valid network"),
    "a huge layer": (set_meta(architecture=[{"type": "Dense", "units": 10**9}]), "parameters; .* are the most here"),
    "more parameters than values": (set_meta(architecture=[{"type": "Dense", "units": 999}]), "3,996 parameters; "),
    "no spread": (set_meta(normalisation={"mean": 0, "std": 0}), r"normalisation is \(0.0, 0.0\); wants"),
    "NaN as mean": (set_meta(normalisation={"mean": float("nan"), "std": 1}), "cannot be read .NaN is no JSON"),
    "a missing array": (lambda m: m.pop("dense1.b.npy"), "array dense1.b is missing"),
    "a wrong shape": (set_bias(npy(np.zeros(5, np.float32))), r"array dense1.b is float32 \(5,\)"),
    "a wrong dtype": (set_bias(npy(np.zeros(4, int))), "array dense1.b is <i8"),
    "a pickle": (set_bias(npy(np.array([print] * 4))), r"array dense1.b is \|O"),
    "no npy at all": (set_bias(b"hello"), "array dense1.b is damaged"),
    "an empty array file": (set_bias(b""), "array dense1.b is damaged"),
    "too few values": (set_bias(npy(np.zeros(4, np.float32))[:-3]), "more or fewer values"),
    "too many values": (set_bias(npy(np.zeros(4, np.float32)) + b"1"), "more or fewer values"),
    "NaN": (set_bias(npy(np.full(4, np.nan, np.float32))), "not finite"),
    "a mean of 400 digits": (set_meta(normalisation={"mean": 10**400, "std": 1}), r"normalisation is \(inf"),
    "a spread of 400 digits": (set_meta(normalisation={"mean": 0, "std": 10**400}), r"normalisation is \(0.0, inf\)"),
    "next to no spread": (set_meta(normalisation={"mean": 0, "std": 1e-300}), "normalisation is .* from 1e-06"),
    "a temperature of 400 digits": (set_meta(temperature=10**400), "temperature is 10000.*; wants a number above 0"),
    "no temperature to speak of": (set_meta(temperature=1e-300), "temperature is 1e-300; wants a number above 0"),
    "units of 400 digits": (set_meta(architecture=[{"type": "Dense", "units": 10**400}]), "Dense units is 100.*most"),
    "a rate of 400 digits": (set_meta(architecture=[{"type": "Dropout", "rate": 10**400}]), "Dropout rate is 1000"),
    "a dtype of two parts": (set_meta(dtype="f4,f4"), "dtype is 'f4,f4'"),
    "no dtype": (set_meta(dtype=None), "dtype is None"),
    "a thousand sizes": (set_meta(input_shape=[1] * 1000), "input_shape has 1000 sizes"),
    "info is a list": (set_meta(info=[["a", 1]]), "info is .*; wants an object"),
    "a threshold in words": (set_meta(info={"refuse_below": "x"}), "refuse_below is 'x'; wants a certainty"),
    "a temperature of 0": (set_meta(info={"certainty_temperature": 0}), "certainty_temperature is 0; wants a number"),
    "a threshold above 1": (set_meta(info={"refuse_below": 1.5}), "refuse_below is 1.5; wants a certainty"),
    "a data set that is an object": (set_meta(info={"dataset": {}}), "dataset is {}; wants a text"),
    "risks in words": (set_meta(info={"risks": "many"}), "risks is 'many'; wants rows of threshold, n, answered"),
    "a risk cut off": (set_meta(info={"risks": [[0.5, 10]]}), "risks is .*; wants rows"),
    "a risk of more than all": (set_meta(info={"risks": [[0.5, 10, 11, 0, 0.1]]}), "risks is .*; wants rows"),
    "half a character": (set_meta(info={"dataset": chr(0xD800)}), "its meta.json cannot be read .*surrogates"),
    "weights whose sums overflow": (lambda m: m.update(
        {"dense1.w.npy": npy(np.full((3, 4), 3e38, np.float32))}), "its answers are no finite numbers"),
    "an odd bracket": (set_bias(npy(np.zeros(4, np.float32)).replace(b"(", b"((", 1)), "array dense1.b is damaged"),
    "many signs": (
        set_bias(npy(np.zeros(4, np.float32)).replace(b" " * 50, b"-" * 50, 1)), "array dense1.b is damaged"),
    "a long header": (set_bias(b"\x93NUMPY\2\0" + (10**6).to_bytes(4, "little") + b"-" * 10**6),
        "array dense1.b is damaged .a header of 1,000,000 bytes"),
    "Fortran order": (lambda m: m.update({"dense1.w.npy": npy(np.ones((3, 4), np.float32, order="F"))}),
        "array dense1.w is damaged .Fortran order"),
    "a member of another program": (lambda m: m.update({"virus.exe": b"MZ"}), "'virus.exe' is none of numcnn's"),
}  # fmt: skip


@pytest.mark.usefixtures("no_collection")
@pytest.mark.parametrize("name", DAMAGE)
def test_damage_and_malice_end_in_one_error_with_the_path(saved, name):
    change, text = DAMAGE[name]
    rewrite(saved, change)
    with pytest.raises(CheckpointError, match=text) as caught:
        numcnn.load(saved)
    assert str(saved) in str(caught.value)


def pictures_of(padding=0, layers=(), **changes):
    """Return the description of a network of few parameters for pictures (28,28,1)."""
    layers = [{"type": "Conv2D", "filters": 1, "kernel_size": 1, "padding": padding}, *layers]
    return set_meta(**{"architecture": [*layers, {"type": "Flatten"}], "input_shape": [28, 28, 1], **changes})


POOL = {"type": "MaxPool2D", "pool_size": 600, "stride": 1}
HOSTILE = {
    "wide padding": (pictures_of(5000), "up to conv1 a picture needs 3.02e.08 values; 16,777,216 are the most"),
    "wider padding": (pictures_of(10**9), "up to conv1 a picture needs .* values"),
    "padding of 400 digits": (pictures_of(10**400), "Conv2D padding is 1000.*most"),
    "a stride of 400 digits": (pictures_of(0, [POOL | {"stride": 10**400}]), "stride is 1000.*most"),
    "large windows": (pictures_of(300, [POOL]), "up to pool1 a picture needs .* values"),
    "many layers": (pictures_of(0, [{"type": "ReLU"}] * 20_000), "it has 20,002 layers; 1,000 are the most"),
    "many layers, each large": (pictures_of(700, [{"type": "ReLU"}] * 900), "up to relu.* a picture needs .* values"),
    "a large picture": (pictures_of(0, input_shape=[10**5, 10**5, 1]), "up to conv1 a picture needs .* values"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_few_bytes_cannot_ask_for_much_memory_or_time(saved, name):
    import tracemalloc

    change, text = HOSTILE[name]
    rewrite(saved, change)
    assert saved.stat().st_size < 1e6
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=text):
        numcnn.load(saved)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6


def test_a_hundred_layers_and_large_pictures_are_fine(tmp_path):
    from numcnn import Conv2D, Flatten, ReLU

    layers = [Conv2D(8, 3, padding="same"), *(ReLU() for _ in range(100)), Flatten(), Dense(3)]
    network = Network(layers, (128, 128, 3), backend="reference")
    network.save(tmp_path / "deep.npz")
    assert numcnn.load(tmp_path / "deep.npz").params.size == network.params.size


def test_answers_that_become_infinite_later_are_no_answers():
    from numcnn import Flatten

    network = Network([Flatten(), Dense(2)], (3, 1, 1), backend="reference")
    network.params[...] = 3e38
    with pytest.raises(CheckpointError, match="the network's answer is no finite number"):
        network.predict_proba(np.ones((1, 3, 1), np.float32))


def test_what_was_added_to_a_zip_is_refused(saved):
    whole = saved.read_bytes()
    for content, text in [
        (b"#" + whole, "something comes before its first member"),
        (whole + b"more", "or something follows it"),
    ]:
        saved.write_bytes(content)
        with pytest.raises(CheckpointError, match=text):
            numcnn.load(saved)
    saved.write_bytes(whole)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(saved, "a") as archive:
        archive.writestr("meta.json", b"{}")
    with pytest.raises(CheckpointError, match="two of its members have one name"):
        numcnn.load(saved)


def test_members_that_claim_more_bytes_than_the_file_has_are_refused(saved):
    whole = bytearray(saved.read_bytes())
    last = whole.rindex(b"PK\1\2")  # the last member in the zip's list; its two sizes follow 20 bytes later
    whole[last + 20 : last + 28] = len(whole).to_bytes(4, "little") * 2
    saved.write_bytes(whole)
    with pytest.raises(CheckpointError, match="its members claim more bytes than it has"):
        numcnn.load(saved)


def test_very_many_members_are_refused_before_they_are_listed(saved):
    with zipfile.ZipFile(saved, "a") as archive:
        for i in range(70_000):  # more than 65,535: the zip says it in its 64-bit form
            archive.writestr(f"{i}.npy", b"")
    whole = saved.read_bytes()
    for length in (whole[-10:-6], bytes(4)):  # where the short form tells another length, the 64-bit one counts
        saved.write_bytes(whole[:-10] + length + whole[-6:])
        with pytest.raises(CheckpointError, match=r"its list of members has [34],\d+,\d+ bytes; 1,048,576 are"):
            numcnn.load(saved)


@pytest.mark.parametrize("name", [3, ["net.npz"], "x" * 5000])
def test_no_path_at_all(name):
    with pytest.raises(CheckpointError, match=r"wants a path, or the name|cannot find xxx.*too long"):
        numcnn.load(name)


def test_a_pipe_and_a_device_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.npz")
    for path in (tmp_path / "pipe.npz", "/dev/zero"):
        with pytest.raises(CheckpointError, match="no regular file"):
            checkpoint.Checkpoint(path)
        with pytest.raises(CheckpointError, match="there is no weights file"):
            numcnn.load(path)


def test_a_file_cut_off_or_changed_anywhere_is_refused_or_read_as_it_was(saved):
    whole = saved.read_bytes()
    want = numcnn.load(saved).params.copy()
    for length in range(0, len(whole), 37):
        saved.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"net\.npz"):
            numcnn.load(saved)
    harmless = 0
    for place in range(0, len(whole), 5):
        saved.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            np.testing.assert_array_equal(numcnn.load(saved).params, want)
            harmless += 1  # a byte that means nothing, such as a time
        except CheckpointError as error:
            assert "net.npz" in str(error)
    assert harmless < len(whole) / 5 / 3


def test_a_description_that_is_no_json_is_refused(tmp_path):
    network = Network([Dense(4)], (3,), backend="reference")
    network.info = {"loss": float("nan")}
    with pytest.raises(CheckpointError, match=r"cannot write .*: its description doesn't fit JSON"):
        network.save(tmp_path / "net.npz")
    assert os.listdir(tmp_path) == []


def test_a_bomb_is_refused_without_being_unpacked(saved):
    import tracemalloc

    header = npy(np.zeros(4, np.float32))[:-16]
    with zipfile.ZipFile(saved) as archive:
        meta = archive.read("meta.json")
    with zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("meta.json", meta)
        archive.writestr("dense1.w.npy", npy(np.zeros((3, 4), np.float32)))
        with archive.open("dense1.b.npy", "w", force_zip64=True) as member:
            member.write(header)
            for _ in range(200):
                member.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=r"its member .* is compressed, which numcnn's never are"):
        numcnn.load(saved)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_a_compressed_member_is_refused_however_small(saved):
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(saved, "w") as archive:
        for name, data in members.items():
            kind = zipfile.ZIP_DEFLATED if name == "dense1.b.npy" else zipfile.ZIP_STORED
            archive.writestr(name, data, kind)
    with pytest.raises(CheckpointError, match=r"its member 'dense1\.b\.npy' is compressed"):
        numcnn.load(saved)


def test_an_array_that_is_larger_than_any_is_refused_before_it_is_read(saved, monkeypatch):
    monkeypatch.setattr(checkpoint, "MAX_ARRAY_BYTES", 48)
    numcnn.load(saved)
    monkeypatch.setattr(checkpoint, "MAX_ARRAY_BYTES", 47)
    with pytest.raises(CheckpointError, match=r"array dense1\.w has 48 bytes; 47 are the most"):
        numcnn.load(saved)


@pytest.mark.parametrize("array", [np.array([None]), {}, [[1], [2, 3]]], ids=["an object", "a dict", "ragged lists"])
def test_what_only_pickle_could_store_is_not_written(saved, array):
    before = saved.read_bytes()
    with pytest.raises(CheckpointError, match=r"cannot write .*net\.npz: array odd .*(Object arrays|inhomogeneous)"):
        numcnn.load(saved).save(saved, {"odd": array})
    assert saved.read_bytes() == before and os.listdir(saved.parent) == ["net.npz"]


@pytest.mark.parametrize("name", [3, None, "a\0b", "x" * 5000])
def test_weights_are_not_written_to_what_is_no_path(name):
    with pytest.raises(CheckpointError, match=f"^cannot write {name}"):
        Network([Dense(4)], (3,), backend="reference").save(name)


@pytest.mark.parametrize(
    ("content", "text"), [(b"", "it is no .npz file"), (b"<html>", "no .npz file"), (b"PK\x03\x04", "no .npz file")]
)
def test_no_zip_at_all(tmp_path, content, text):
    path = tmp_path / "net.npz"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=text):
        numcnn.load(path)


def test_a_missing_file_a_folder_and_an_unknown_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"there is no weights file nothing.npz; give a path, or the name of a"):
        numcnn.load("nothing.npz")
    (tmp_path / "run").mkdir()
    with pytest.raises(CheckpointError, match=r"run is a folder; name a \.npz file$"):
        numcnn.load("run")
    # One deep in it will do.
    for name in ("run/a/seed-0/last.npz", "run/a/seed-0/best.npz", "run/b/last.npz", "run/c/best.npz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
        with pytest.raises(CheckpointError, match=rf"run is a folder; name the \.npz file in it, such as {name}$"):
            numcnn.load("run")
    (tmp_path / "everyone").mkdir()  # a user's folder of the same name, which the default must not pick
    (tmp_path / "everyone.npz").write_text("nor this")
    for name in (None, "everyone"):
        assert checkpoint.find_weights(name).parent == checkpoint.weights_folder()
    with pytest.raises(CheckpointError, match=r"there is no weights file \.\./everyone"):
        numcnn.load("../everyone")


@pytest.mark.parametrize(("old", "new"), [("mnist", "canonical"), ("best", "everyone"), ("pad", "everyone")])
def test_weights_that_were_shipped_once_say_what_replaced_them(old, new):
    with pytest.raises(CheckpointError, match=f"the weights {old} are no longer shipped; use {new} instead"):
        numcnn.load(old)
    with pytest.raises(CheckpointError, match=f"the weights {old} are no longer shipped"):
        numcnn.load(f"{old}.npz")
    assert numcnn.load(new).info["model"]


def test_shipped_weights_are_found_by_name(tmp_path, monkeypatch, saved):
    for name in ("pen-2.npz", "pen-10.npz", "everyone.npz", "everyone-b.npz"):
        (tmp_path / "weights").mkdir(exist_ok=True)
        (tmp_path / "weights" / name).write_bytes(saved.read_bytes())
    monkeypatch.setattr(checkpoint, "weights_folder", lambda: tmp_path / "weights")
    assert checkpoint.find_weights().name == "everyone.npz"
    assert checkpoint.find_weights("everyone-b").name == "everyone-b.npz"
    assert checkpoint.find_weights("pen-1").name == "pen-10.npz"
    with pytest.raises(CheckpointError, match="several weights files begin with pen: pen-10, pen-2"):
        checkpoint.find_weights("pen")
    with pytest.raises(CheckpointError, match=r"shipped one \(everyone, everyone-b, pen-10, pen-2\)"):
        checkpoint.find_weights("unknown")


def test_a_folder_that_cannot_be_written_to(tmp_path):
    network = Network([Dense(4)], (3,), backend="reference")
    with pytest.raises(CheckpointError, match=r"cannot write .*missing"):
        network.save(tmp_path / "missing" / "net.npz")


def test_a_name_without_text_is_no_weights_file():
    with pytest.raises(CheckpointError, match="the weights file's name is empty; give a path, or"):
        checkpoint.find_weights("")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_failed_write_leaves_the_old_file(saved):
    old = saved.read_bytes()
    with pytest.raises(RuntimeError, match="half way"), atomic_write(saved) as file:
        file.write(b"new")
        raise RuntimeError("half way")
    assert saved.read_bytes() == old and os.listdir(saved.parent) == ["net.npz"]


def test_a_killed_process_leaves_the_old_file_or_the_new_one(saved):
    code = f"""
import numpy as np
from numcnn import Dense, Network
networks = [Network([Dense(500)], (2000,), seed=s, backend="reference") for s in (1, 2)]
networks[0].save({str(saved)!r})
print("ready", flush=True)
while True:
    for network in networks:
        network.save({str(saved)!r})
"""
    for delay in (0.0, 0.013, 0.031, 0.057):
        with running("-c", code) as process:
            read_until(process.stdout, "ready")
            time.sleep(delay)  # whatever it is doing then: it does the same for ever
            process.kill()
            process.wait()
        assert numcnn.load(saved).params.size == 2000 * 500 + 500
