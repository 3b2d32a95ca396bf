"""A page without files of its own, in the colours of the console, for servers that have no other pages."""

from __future__ import annotations

from html import escape

from fastapi.responses import HTMLResponse

_HEADERS = {
    # It has no script, so none can be smuggled into it, and no other page may show it in a frame.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def plain_page(title: str, server: str, content: str, status: int = 200) -> HTMLResponse:
    """A whole page: title and server as text, content as HTML."""
    page = _PAGE.format(title=escape(title), server=escape(server), content=content)
    return HTMLResponse(page, status, headers=_HEADERS)


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} - {server}</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark }}
body {{ margin: 0; font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
  background: light-dark(#f6f7f8, #13171a); color: light-dark(#1b2126, #e6eaed) }}
header {{ padding: .8rem 1rem; background: light-dark(#fff, #1b2024) }}
main {{ max-width: 60rem; margin: 0 auto; padding: 1rem }}
h1 {{ font-size: 1.45rem }}
a {{ color: light-dark(#0f766e, #4fc3b5) }}
small {{ color: light-dark(#5b6670, #9aa6b0) }}
td {{ padding: .4rem; vertical-align: top; border-top: 1px solid light-dark(#dfe3e7, #2e363c) }}
</style>
<header><strong>Relay</strong> {server}</header>
<main><h1>{title}</h1>{content}</main></html>
"""
