"""Pictures of pages for the documents, small enough to be kept in the repository."""

from __future__ import annotations

import base64
import os

from playwright.sync_api import Page

from tests.product.running_product import ROOT

IMAGES = ROOT / "docs" / "images"
WANTED = "MAKE_SCREENSHOT" in os.environ
QUALITY = 55
LARGEST = 90_000
"""Bytes; a larger one is no picture for a repository."""


def take(page: Page, name: str, *, whole: bool = False) -> None:
    """Write what the window shows, or the whole page, as WebP, which Playwright's own screenshots cannot be."""
    options = {"format": "webp", "quality": QUALITY, "captureBeyondViewport": whole}
    if whole:
        size = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
        options["clip"] = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
    taken = page.context.new_cdp_session(page).send("Page.captureScreenshot", options)
    content = base64.b64decode(taken["data"])
    assert len(content) < LARGEST, name
    (IMAGES / f"{name}.webp").write_bytes(content)
