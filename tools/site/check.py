"""Look at each page of the site in a headless browser, at the width of a desk and of a phone.

    python -m tools.site.check build/site [--page PAGE …] [--pictures FOLDER]

What is looked for: a link inside the site that leads nowhere; not exactly one h1; what axe-core finds (names of links,
pictures and buttons, contrast by day and by night, and the other rules of WCAG 2.1 A and AA); a page wider than the
phone; a request to another host; an error of a script; a search that finds nothing. Needs Chromium, and axe-core, which
npm brings into .cache/.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

ROOT = Path(__file__).resolve().parent.parent.parent
AXE = ROOT / ".cache" / "axe" / "node_modules" / "axe-core" / "axe.min.js"
AXE_VERSION = "4.14.1"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Both themes are seen, each at one width: what differs between widths is the layout, and between themes the colours.
VIEWS = {
    "desk": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "phone": {"viewport": {"width": 360, "height": 740}, "color_scheme": "dark"},
}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
SEARCHED = "deadlock"
PAGE_MS = 60_000  # generous: other work may run on the machine

_LOOK = """() => ({
    h1: document.querySelectorAll("h1").length,
    links: [...document.querySelectorAll("a[href]")].map(a => a.href),
    ids: [...document.querySelectorAll("[id], a[name]")].map(e => e.id || e.name),
    width: document.documentElement.scrollWidth,
    shown: document.documentElement.clientWidth,
    wide: [...document.querySelectorAll("article *")]
        .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .slice(0, 3).map(e => e.outerHTML.slice(0, 80)),
})"""
_AXE = """(rules) => axe.run(document, {runOnly: rules, resultTypes: ["violations"]}).then(found =>
    found.violations.map(v =>
        `${v.id}: ${v.help}: ${v.nodes.slice(0, 3).map(n => n.html.slice(0, 160)).join(" | ")}`))"""


def find_browser() -> str | None:
    """The path of a Chromium: FASTPOOL_BROWSER, or the first that is on the PATH."""
    return os.environ.get("FASTPOOL_BROWSER") or next(filter(None, map(shutil.which, BROWSERS)), None)


def bring_axe() -> str:
    """The text of axe-core, brought by npm the first time."""
    if not AXE.exists():
        folder = AXE.parents[2]
        folder.mkdir(parents=True, exist_ok=True)
        command = [
            "npm",
            "install",
            "--prefix",
            str(folder),
            "--no-audit",
            "--no-fund",
            "--silent",
            f"axe-core@{AXE_VERSION}",
        ]
        subprocess.run(command, check=True, timeout=300)
    return AXE.read_text(encoding="utf-8")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The site on a loopback port, while the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Check:
    """One pass over a site: ``faults`` has a line for each fault that was found."""

    def __init__(self, site: Path, browser: Any, pictures: Path | None = None) -> None:
        self.site = site
        self.browser = browser
        self.pictures = pictures
        self.faults: list[str] = []
        self._links: dict[str, set[str]] = {}  # page -> what it links to
        self._ids: dict[str, set[str]] = {}  # page -> the places in it that a link may name

    def run(self, pages: list[str]) -> None:
        axe = bring_axe()
        with served(self.site) as address:
            for view, how in VIEWS.items():
                context = self.browser.new_context(reduced_motion="reduce", **how)
                context.set_default_timeout(PAGE_MS)
                page = context.new_page()
                self._listen(page, address, view)
                for name in pages:
                    self._look(page, address, name, view, axe)
                if view == "desk" and (self.site / "search.html").exists():
                    self._search(page, address)
                context.close()
            self._follow(address)

    def _listen(self, page: Any, address: str, view: str) -> None:
        def guard(route: Any) -> None:
            if route.request.url.startswith((address, "data:")):
                route.continue_()
            else:
                self.faults.append(f"{page.url.removeprefix(address)} ({view}): it asks for {route.request.url}")
                route.abort()

        page.route("**/*", guard)
        page.on("pageerror", lambda error: self.faults.append(f"{page.url.removeprefix(address)} ({view}): {error}"))

    def _look(self, page: Any, address: str, name: str, view: str, axe: str) -> None:
        page.goto(address + name)
        seen = page.evaluate(_LOOK)
        where = f"{name} ({view})"
        if seen["h1"] != 1:
            self.faults.append(f"{where}: {seen['h1']} h1, it must be one")
        if seen["width"] > seen["shown"]:
            self.faults.append(f"{where}: {seen['width']} pixels wide, {seen['shown']} are there: {seen['wide']}")
        page.evaluate(axe)
        self.faults += [f"{where}: {fault}" for fault in page.evaluate(_AXE, RULES)]
        self._links[name] = set(seen["links"])
        self._ids[name] = set(seen["ids"])
        if self.pictures is not None:
            self.pictures.mkdir(parents=True, exist_ok=True)
            path = self.pictures / f"{name.replace('/', '-').removesuffix('.html')}-{view}.png"
            page.screenshot(path=str(path))

    def _search(self, page: Any, address: str) -> None:
        page.goto(f"{address}search.html?q={SEARCHED}")
        try:
            page.wait_for_selector("#search-results li a")
        except Exception as error:
            self.faults.append(f"search.html: it finds nothing for {SEARCHED!r}: {error}")

    def _follow(self, address: str) -> None:
        for name, links in self._links.items():
            for link in sorted(links):
                url, place = urldefrag(urljoin(address + name, link))
                if not url.startswith(address):
                    continue
                target = unquote(urlsplit(url).path).lstrip("/") or "index.html"
                if not (self.site / target).is_file():
                    self.faults.append(f"{name}: a link to {target}, which does not exist")
                elif place and target in self._ids and unquote(place) not in self._ids[target]:
                    self.faults.append(f"{name}: a link to {target}#{place}; there is no such place on that page")


def check(site: Path, pages: list[str], pictures: Path | None = None) -> list[str]:
    """The faults of these pages of the site (all pages if none are named)."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        try:
            one = Check(site, browser, pictures)
            one.run(pages or sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html")))
            return one.faults
        finally:
            browser.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path, help="the folder that `make docs` has made")
    parser.add_argument(
        "--page",
        action="append",
        default=[],
        dest="pages",
        help="only this page, relative to the site; may be repeated",
    )
    parser.add_argument("--pictures", type=Path, help="put a picture of each page and width into this folder")
    given = parser.parse_args()
    if find_browser() is None:
        sys.exit(f"no browser: install one of {', '.join(BROWSERS)}, or name one in FASTPOOL_BROWSER")
    faults = check(given.site, given.pages, given.pictures)
    for fault in faults:
        print(fault)
    sys.exit(f"{len(faults)} faults" if faults else 0)


if __name__ == "__main__":
    main()
