"""The host for interactive figures in the published page, with figures made for the purpose."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from notebooks import ROOT
from playwright.sync_api import Browser, Page

HOST = ROOT / "book" / "_static" / "widget-host.js"
COUNTER = """
function initialize({ model }) {
  model.on("change:value", () => model.set("square", model.get("value") ** 2));
}
function render({ model, el }) {
  const show = () => { el.textContent = `${model.get("value")} ${model.get("square")}`; };
  model.on("change", show);
  el.onclick = () => { model.set("value", model.get("value") + 1); model.save_changes(); };
  show();
}
export default { initialize, render };
"""
OLD_STYLE = (
    "export function render({ model, el }) { el.textContent = `old ${model.get('value')}`; }"
)
FACTORY = "export default async () => ({ render({ el }) { el.textContent = 'made'; } });"
BINARY = """
function render({ model, el }) {
  const { buffer, byteOffset } = model.get("nested").weights;
  el.textContent = [...new Float32Array(buffer, byteOffset, 3)].join(" ");
}
export default { render };
"""
BROKEN = "export default { render() { throw new Error('on purpose'); } };"


def figure(number: int) -> str:
    """One interactive output as the build writes it, with its static picture."""
    view = json.dumps({"model_id": f"m{number}", "version_major": 2, "version_minor": 0})
    return (
        f'<div id="f{number}">'
        f'<script type="application/vnd.jupyter.widget-view+json">{view}</script>'
        '<div class="widget-fallback">the picture</div></div>'
    )


def shown(browser: Browser, folder: Path, *models: dict[str, Any]) -> tuple[Page, list[str]]:
    """A page, opened from its file, that holds one figure per model; and its console's errors."""
    states = {f"m{number}": model for number, model in enumerate(models)}
    state = json.dumps({"version_major": 2, "version_minor": 0, "state": states})
    figures = "".join(figure(number) for number in range(len(models)))
    (folder / "page.html").write_text(
        f'<script type="application/vnd.jupyter.widget-state+json">{state}</script>'
        f"<script>{HOST.read_text(encoding='utf-8')}</script>{figures}",
        encoding="utf-8",
    )
    page, errors = browser.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto((folder / "page.html").as_uri())
    return page, errors


@pytest.mark.parametrize(
    ("module", "text"), [(COUNTER, "3 9"), (OLD_STYLE, "old 3"), (FACTORY, "made")]
)
def test_every_style_of_module_is_shown_and_its_picture_goes(
    browser: Browser, tmp_path: Path, module: str, text: str
) -> None:
    page, errors = shown(browser, tmp_path, {"state": {"_esm": module, "value": 3, "square": 9}})
    page.wait_for_function("() => !document.querySelector('.widget-fallback')")
    assert page.locator("#f0 .widget-live").inner_text() == text
    assert errors == []
    page.close()


def test_a_change_reaches_the_listeners_of_its_own_model_only(
    browser: Browser, tmp_path: Path
) -> None:
    counters = [{"state": {"_esm": COUNTER, "value": v, "square": v * v}} for v in (3, 5)]
    page, errors = shown(browser, tmp_path, *counters)
    page.locator("#f0 .widget-live").click()
    assert page.locator("#f0 .widget-live").inner_text() == "4 16"
    assert page.locator("#f1 .widget-live").inner_text() == "5 25"
    assert errors == []
    page.close()


def test_binary_traits_come_back_as_they_were(browser: Browser, tmp_path: Path) -> None:
    data = base64.b64encode(struct.pack("<3f", 1.0, -2.5, 3.0)).decode()
    buffers = [{"encoding": "base64", "path": ["nested", "weights"], "data": data}]
    page, errors = shown(
        browser, tmp_path, {"state": {"_esm": BINARY, "nested": {}}, "buffers": buffers}
    )
    page.wait_for_selector(".widget-live")
    assert page.locator(".widget-live").inner_text() == "1 -2.5 3"
    assert errors == []
    page.close()


def test_a_style_is_added_once(browser: Browser, tmp_path: Path) -> None:
    model = {"state": {"_esm": FACTORY, "_css": ".widget-live { color: rgb(1, 2, 3); }"}}
    page, _ = shown(browser, tmp_path, model, model)
    page.wait_for_function("() => !document.querySelector('.widget-fallback')")
    assert page.locator("style").count() == 1
    page.close()


def test_a_broken_figure_leaves_its_picture_and_the_others(
    browser: Browser, tmp_path: Path
) -> None:
    page, errors = shown(
        browser, tmp_path, {"state": {"_esm": BROKEN}}, {"state": {"_esm": FACTORY}}
    )
    page.wait_for_selector("#f1 .widget-live")
    page.wait_for_function("() => !document.querySelector('#f0 .widget-live')")
    assert page.locator("#f0").inner_text() == "the picture"
    assert len(errors) == 1
    assert "on purpose" in errors[0]
    page.close()
