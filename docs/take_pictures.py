"""The README's pictures, taken from the running workbench: `make pictures`.

    python -m docs.take_pictures [--out FOLDER]         default: docs/pictures

The server runs on the sample runs, in an empty folder of runs; a browser looks at it. Pages change:
what is waited for is text that stands in the run itself, and a step that finds nothing to press is
said and left out of the animation.
"""

from __future__ import annotations

import argparse
import io
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import workbench as wb

OUT = Path(__file__).parent / "pictures"
RUN = "capitals"
WIDTH, HEIGHT = 1440, 900
FRAME = (960, 600)
"""Pixels of the animation: half of GitHub's widest column is still legible."""
SECONDS = 2.2
WAITING = re.compile("Drawing …|appears when the model is loaded|Loading")
PATIENCE = 60
"""Seconds for a page to come to rest; one that never does is taken as it is."""


def shoot(page: Any) -> bytes:
    """The page once it is at rest: it waits for nothing, and two pictures a second apart are the
    same.
    """
    waiting = page.get_by_text(WAITING).locator("visible=true")
    before: bytes = page.screenshot()
    for _ in range(PATIENCE):
        page.wait_for_timeout(1000)
        picture: bytes = page.screenshot()
        if picture == before and not waiting.count():
            break
        before = picture
    return before


def explorer(page: Any, address: str) -> bytes:
    """The sample run's page: the answer and the picture that carries it."""
    page.goto(f"{address}/explorer?run={RUN}")
    page.get_by_text("held-out facts").first.wait_for()
    return shoot(page)


def frames(page: Any, address: str) -> Iterator[bytes]:
    """Home, the answer, two of its tabs, a head of the grid, the Playground."""
    page.goto(address)
    yield shoot(page)
    yield explorer(page, address)

    def tab(name: str) -> Callable[[], None]:
        return lambda: page.get_by_text(name, exact=True).first.click(timeout=5_000)

    for name, step in {"Heads": tab("Heads"), "Depth": tab("Depth"), "Dial": tab("Dial")}.items():
        try:
            step()
        except Exception as error:
            print(f"left out, {name}: {str(error).splitlines()[0]}", flush=True)
            continue
        yield shoot(page)
    page.goto(f"{address}/playground/")
    page.get_by_role("tab").first.wait_for()
    yield shoot(page)


def animate(pictures: list[bytes], file: Path) -> None:
    """Pictures one after the other as an animated WebP, for ever."""
    from PIL import Image

    first, *rest = (Image.open(io.BytesIO(data)).convert("RGB").resize(FRAME) for data in pictures)
    first.save(
        file,
        save_all=True,
        append_images=rest,
        duration=int(1000 * SECONDS),
        loop=0,
        quality=80,
        method=6,
    )


def still(picture: bytes, file: Path) -> None:
    """A screenshot as a PNG of few colours."""
    from PIL import Image

    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


def take(out: Path) -> None:
    """Both pictures, into a folder."""
    from tests.helpers.serving import chromium, served

    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as runs,
        served(wb.load(), Path(runs)) as address,
        chromium() as browser,
    ):
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        seen = {"name": "wb-tour", "value": "seen", "url": address}
        page.context.add_cookies([seen])  # a visit, but not the first
        page.set_default_timeout(120_000)
        still(explorer(page, address), out / "explorer.png")
        animate(list(frames(page, address)), out / "tour.webp")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Take the README's pictures.")
    parser.add_argument("--out", type=Path, default=OUT, help="where they go")
    out = parser.parse_args().out
    take(out)
    for file in sorted(out.iterdir()):
        print(f"{file}: {file.stat().st_size / 1000:.0f} KB")


if __name__ == "__main__":
    main()
