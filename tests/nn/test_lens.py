"""The page holds what the trace holds, and shows sums that equal the values, in a real browser where there is one."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import browser, chromium
from test_trace import every_kind, own, picture, small

import numcnn
from numcnn import ConfigError
from numcnn.nn import lens

pytestmark = pytest.mark.once

needs_browser = pytest.mark.skipif(
    chromium() is None, reason="there is no Chromium here (Debian: apt install chromium)"
)

# Chooses entries as a click does, by the map on the screen, and returns what doesn't agree.
CHECK = """(async (n) => {
  let seed = 7;
  const random = (below) => { seed = (seed * 48271) % 2147483647; return seed % below; };
  const wrong = [], seen = {};
  let sums = 0;
  for (let i = 0; i < n; i++) {
    const k = random(STOPS.length), isSum = ([stop, name]) => name in STOPS[stop].formulas;
    const names = arraysOf(k).filter((name) => isSum(maker(k, name)));
    const name = names[random(names.length)], a = get(k, name), L = layout(a.shape);
    let index = null;
    while (!index) index = L.index(random(L.count), random(L.h), random(L.w));
    go(k, name, index);
    const entry = $("entry").textContent, shown = entry.split(" = ").pop(), sum = $("sum").textContent;
    const live = made.products.filter((p) => p !== 0).length;
    if (shown !== sum || !entry.startsWith(STOPS[k].name + "." + name)) wrong.push([entry, sum]);
    if (shown !== "0") sums++;
    if (live && $("terms").children.length !== Math.min(24, live)) wrong.push([entry, "rows"]);
    seen[STOPS[k].name] = true;
  }
  return {wrong, sums, layers: Object.keys(seen).length};
})"""


def data_of(page):
    """Return the page's data, decoded as JSON."""
    (text,) = re.findall(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    return json.loads(text)


def decoded(stored, stop):
    """Return an array of the page, from the other arrays where it isn't stored."""
    if "same" in stored:
        return stop[stored["same"]].reshape(stored["shape"])
    if "outer" in stored:
        return np.multiply.outer(*(stop[name] for name in stored["outer"]))
    values = np.frombuffer(base64.b64decode(stored["values"]), "<" + stored["type"]).astype(np.float64)
    if "mask" not in stored:
        return values.reshape(stored["shape"])
    whole = np.zeros(stored["shape"])
    bits = np.frombuffer(base64.b64decode(stored["mask"]), np.uint8)
    whole[np.unpackbits(bits)[: whole.size].reshape(whole.shape).astype(bool)] = values
    return whole


@pytest.mark.parametrize("make", [small, every_kind, own])
def test_the_page_holds_every_array_exactly(make):
    found = numcnn.trace(make(), picture(), 4)
    page = lens.page(found)
    for stop, stored in zip(found.stops, data_of(page)["stops"], strict=True):
        assert stored["name"] == stop.name and set(stored["arrays"]) <= set(stop.arrays)
        for name, array in stored["arrays"].items():
            np.testing.assert_array_equal(decoded(array, stop), stop[name], err_msg=f"{stop.name}.{name}")
    assert not re.search(r"https?://|@import|url\(|src=", page.replace('href="data:,"', ""))  # it asks for nothing


@pytest.mark.parametrize("name", ["canonical", "everyone"])
def test_a_page_of_a_shipped_network_is_below_3_mb(name, tmp_path):
    found = numcnn.trace(numcnn.load(name, backend="reference"), picture(), 4)
    found.save_html(tmp_path / "lens.html")
    assert 1e6 < (tmp_path / "lens.html").stat().st_size < 3e6


def test_weights_left_out_of_a_large_layer_meet_zeros_only():
    found = numcnn.trace(numcnn.load("everyone", backend="reference"), picture(), 4)
    stop = found["dense1"]
    (stored,) = (one for one in data_of(lens.page(found))["stops"] if one["name"] == "dense1")
    used = (stop["x"] != 0)[:, None] | (stop["dout"] != 0)
    kept = np.frombuffer(base64.b64decode(stored["arrays"]["w"]["values"]), "<f4")
    np.testing.assert_array_equal(kept, stop["w"][used])
    assert kept.size < stop["w"].size / 2


def test_a_network_that_has_diverged_is_refused():
    network = small()
    network.params[-5] = np.nan
    with pytest.raises(ConfigError, match="no numbers; the network has diverged"):
        lens.page(numcnn.trace(network, picture(), 4))


def test_a_layer_too_large_for_the_page_leads_to_python(monkeypatch):
    monkeypatch.setattr(lens, "MOST_SLOPES", 100)
    stops = data_of(lens.page(numcnn.trace(own(), picture(), 4)))["stops"]
    (stop,) = (one for one in stops if one["name"] == "mytanh1")
    assert stop["type"] == "opaque" and "trace.explain('mytanh1', 'dx', index)" in stop["given"]["dx"]


@pytest.fixture
def chrome(tmp_path):
    """A page of a browser; it takes a second to start, so a test looks at several things."""
    if chromium() is None:
        pytest.skip("there is no Chromium here (Debian: apt install chromium)")
    with browser(tmp_path / "profile") as page:
        yield page


def shown(chrome, name):
    return chrome.run(f"$('{name}').textContent")


def show(chrome, found, folder, **window):
    """Open the page of a trace."""
    found.save_html(folder / "lens.html")
    chrome.open(folder / "lens.html", **window)


def test_of_1000_random_pixels_the_sum_shown_is_the_value_shown(chrome, tmp_path):
    networks = [numcnn.load(name, backend="reference") for name in ("canonical", "everyone")]
    for network, training, n in [
        (networks[0], False, 1000),
        (networks[1], False, 200),
        (small(), False, 200),
        (own(), False, 200),
        (own(), True, 200),
    ]:
        show(chrome, numcnn.trace(network, picture(), 4, training=training), tmp_path)
        result = chrome.run(f"{CHECK}({n})")
        assert result["wrong"] == [] and chrome.errors == []
        assert result["sums"] > 0.3 * n and result["layers"] == len(network.layers) + 2


@pytest.mark.parametrize("training", [False, True])
def test_the_page_s_terms_are_python_s(training, chrome, tmp_path):
    found = numcnn.trace(every_kind(), picture(), 4, training=training)
    show(chrome, found, tmp_path)
    assert chrome.run(f"{CHECK}(200)")["wrong"] == [] and chrome.errors == []
    rng = np.random.default_rng(1)
    for number, stop in enumerate(found.stops):
        for array in stop.arrays:
            if stop.given(array) or array in ("x", "dout"):
                continue
            index = tuple(int(rng.integers(size)) for size in stop[array].shape)
            expected = found.explain(stop.name, array, index)
            made = chrome.run(f"explain({number}, '{array}', {list(index)})")
            assert [[_name(f) for f in factors] for factors in made["terms"]] == [
                [str(factor) for factor in one.factors] for one in expected.terms
            ], expected.entry
            values = [factor.value for one in expected.terms for factor in one.factors]
            np.testing.assert_allclose([f["v"] for t in made["terms"] for f in t], values, rtol=1e-12, atol=1e-300)
            assert made["formula"] == expected.formula
            if type(stop.layer).__name__ == "MaxPool2D" and array == "dx":
                assert re.findall(r"[a-z]+", made["note"]) == re.findall(r"[a-z]+", expected.note)


def _name(factor):
    return factor["n"] if factor["i"] is None else f"{factor['n']}[{','.join(map(str, factor['i']))}]"


def test_a_click_and_the_keyboard_choose_pixels_and_steps(chrome, tmp_path):
    found = numcnn.trace(small(), picture(), 4)
    show(chrome, found, tmp_path)
    chrome.run("location.hash = '#pool1.dx[10,11,3]'")
    chrome.run("new Promise((done) => setTimeout(done))")
    value = found["pool1"]["dx"][10, 11, 3]
    assert shown(chrome, "entry").startswith("pool1.dx[10,11,3] = ")
    assert float(shown(chrome, "sum").replace("\N{MINUS SIGN}", "-")) == pytest.approx(value, rel=1e-6)
    assert shown(chrome, "note").rstrip(".") == found.explain("pool1", "dx", (10, 11, 3)).note.replace(".  A", ". A")
    box = chrome.run("(() => { const b = $('map').getBoundingClientRect(); return [b.left, b.top, mapZoom]; })()")
    chrome.click(box[0] + 6.5 * box[2], box[1] + 4.5 * box[2])
    assert shown(chrome, "entry").startswith("pool1.dx[4,6,3] = ")
    chrome.run("$('map').focus()")
    for key, entry in (("ArrowRight", "4,7,3"), ("ArrowDown", "5,7,3"), ("ArrowLeft", "5,6,3"), ("ArrowUp", "4,6,3")):
        chrome.press(key)
        assert shown(chrome, "entry").startswith(f"pool1.dx[{entry}] = ")
    chrome.press("PageUp")
    assert shown(chrome, "entry").startswith("pool1.dx[4,6,2] = ")
    chrome.press("Enter")  # follows dout, which the layer after it computes
    assert shown(chrome, "entry").startswith("flatten1.dx[2,3,2] = ")
    chrome.press("b")
    assert shown(chrome, "entry").startswith("pool1.dx[4,6,2] = ")
    chrome.press("n")
    assert "relu1.dx" in shown(chrome, "entry") and "Backward, step" in shown(chrome, "step")
    chrome.press("p")
    assert shown(chrome, "entry").startswith("pool1.dx[")
    chrome.run("$('strip').children[1].click()")
    assert shown(chrome, "entry").startswith("conv1.dx[")
    chrome.run("$('strip').children[1].focus()")
    chrome.press("ArrowRight")
    assert shown(chrome, "entry").startswith("relu1.dx[")
    reached = set()
    for _ in range(60):
        chrome.press("Tab")
        reached.add(chrome.run("document.activeElement.id || document.activeElement.parentElement.id"))
    assert {"theme", "strip", "next", "arrays", "maps", "map", "follow"} <= reached


def test_a_step_at_a_time_leads_from_the_picture_to_the_loss_and_back(chrome, tmp_path):
    found = numcnn.trace(small(), picture(), 4)
    show(chrome, found, tmp_path)
    steps = [shown(chrome, "entry").partition("[")[0].partition(" = ")[0]]
    while not chrome.run("$('next').disabled"):
        chrome.run("$('next').click()")
        steps.append(shown(chrome, "entry").partition("[")[0].partition(" = ")[0])
    names = [stop.name for stop in found.stops]
    assert steps[: len(names)] == [f"{name}.out" for name in names]
    back = steps[len(names) :]
    assert back[:4] == ["loss.dx", "dense2.dw", "dense2.db", "dense2.dx"] and back[-1] == "picture.dx"
    assert [step for step in back if step.endswith(".dx")] == [f"{name}.dx" for name in reversed(names)]


def test_it_fits_the_window_in_light_and_dark(chrome, tmp_path):
    found = numcnn.trace(own(), picture(), 4)
    for width, dark in ((380, False), (380, True), (1400, False), (1400, True)):
        show(chrome, found, tmp_path, width=width, dark=dark)
        paper = chrome.run("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(20, 23, 27)" if dark else "rgb(255, 255, 255)")
        widest = chrome.run("Math.max(...TOUR.map((s) => { go(...s); return document.documentElement.scrollWidth; }))")
        assert widest <= width
        assert chrome.errors == []


def test_the_template_is_in_the_package():
    assert (Path(numcnn.__file__).parent / "nn" / "lens.html").is_file()
