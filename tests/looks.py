"""What can be said of how a page looks, in a real browser: does everything fit, and can everybody use it."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

AXE = Path(__file__).resolve().parents[1] / ".venv/npm/node_modules/axe-core/axe.min.js"
SIZES = ((1024, 600), (1366, 768), (1920, 1080))
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]

_CUT = """() => {
  const shown = (part) => part.checkVisibility() && part.getClientRects().length;
  const cut = [...document.querySelectorAll("header *, main *")]
    .filter((part) => shown(part) && getComputedStyle(part).overflow === "hidden")
    .filter((part) => part.scrollHeight > part.clientHeight + 1 || part.scrollWidth > part.clientWidth + 1)
    .map((part) => "cut: " + part.outerHTML.slice(0, 160));
  const wide = document.documentElement.scrollWidth > innerWidth + 1 ? ["too wide: " + document.title] : [];
  const edge = document.documentElement.clientWidth + 1;
  const out = [...document.querySelectorAll("header *")]
    .filter((part) => shown(part) && part.getBoundingClientRect().right > edge)
    .map((part) => "out of the window: " + part.outerHTML.slice(0, 160));
  return [...cut, ...wide, ...out];
}"""


def unfit(page: Page) -> list[str]:
    """What is cut or stands out of the window, at each of the sizes that desks have."""
    faults = []
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        faults += [f"{width}x{height} {fault}" for fault in page.evaluate(_CUT)]
    return faults


def violations(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 AA."""
    if not AXE.is_file():
        pytest.skip("NO AXE-CORE: install npm and run scripts/setup, else nobody knows who can use the pages")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("(rules) => axe.run(document, {runOnly: rules})", _RULES)
    return [
        f"{fault['id']} ({fault['impact']}): {node['html'][:160]} {node['failureSummary'][:200]}"
        for fault in found["violations"]
        for node in fault["nodes"]
    ]
