"""Copy what the dashboard uses out of `node_modules`: scripts and styles as they are, fonts cut to the letters used.

Run by `make vendor`, after `npm ci`. What it writes is committed: Clarion itself needs no npm.
"""

import re
import shutil
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
STATIC = HERE.parent / "server" / "dashboard" / "static"
PAGES = HERE.parent / "server" / "dashboard"

FILES = {
    "htmx.org/dist/htmx.min.js": "vendor/htmx.min.js",
    "htmx.org/dist/ext/hx-sse.min.js": "vendor/hx-sse.min.js",
    "swagger-ui-dist/swagger-ui-bundle.js": "vendor/swagger-ui-bundle.js",
    "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt": "vendor/swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui-dist/swagger-ui.css": "vendor/swagger-ui.css",
    "uplot/dist/uPlot.iife.min.js": "vendor/uPlot.iife.min.js",
    "uplot/dist/uPlot.min.css": "vendor/uPlot.min.css",
}
LICENCES = (
    "@fontsource-variable/inter",
    "@fontsource-variable/rubik",
    "htmx.org",
    "lucide-static",
    "swagger-ui-dist",
    "uplot",
)
TEST_FILES = {"axe-core/axe.min.js": HERE.parent / "tests" / "browser" / "axe.min.js"}
# Of each font: its file, and the letters that are kept.
MARKS = (0x2013, 0x2014, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022, 0x2026, 0x2032)
LATIN = [*range(0x20, 0x7F), *range(0xA0, 0x180), *MARKS]
HEBREW = [*range(0x590, 0x600), 0x20AA, 0x200E, 0x200F]
FONTS = {
    "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2": ("fonts/inter.woff2", LATIN),
    "@fontsource-variable/rubik/files/rubik-hebrew-wght-normal.woff2": ("fonts/rubik-hebrew.woff2", HEBREW),
}
# Signs are named in templates and in the pages' code.
IN_CALLS = re.compile(r"""["']([a-z][a-z0-9]*(?:-[a-z0-9]+)*)["']""")


def main() -> None:
    """Write everything anew."""
    (STATIC / "vendor").mkdir(parents=True, exist_ok=True)
    (STATIC / "fonts").mkdir(parents=True, exist_ok=True)
    for source, target in FILES.items():
        text = (PACKAGES / source).read_text()
        # Maps are not shipped, so they are not asked for.
        (STATIC / target).write_text(re.sub(r"\n?/[/*]# sourceMappingURL=.*\n?$", "\n", text))
    for source, path in TEST_FILES.items():
        shutil.copyfile(PACKAGES / source, path)
    for source, (target, letters) in FONTS.items():
        _cut(PACKAGES / source, STATIC / target, letters)
    _copy_icons()
    _copy_licences()


def _cut(source: Path, target: Path, letters: list[int]) -> None:
    font = TTFont(source)
    options = Options()
    options.flavor = "woff2"
    options.layout_features = ["kern", "liga", "tnum", "ccmp", "locl", "mark", "mkmk"]
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=letters)
    subsetter.subset(font)
    font.flavor = "woff2"
    font.save(target)


def _copy_icons() -> None:
    """Every word in a template or a page's code that is the name of a sign: some more than are used do no harm."""
    folder = STATIC / "vendor" / "icons"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    texts = [path.read_text() for path in (*PAGES.rglob("*.html"), *PAGES.rglob("*.py"))]
    known = {path.stem for path in (PACKAGES / "lucide-static" / "icons").glob("*.svg")}
    for name in sorted({word for text in texts for word in IN_CALLS.findall(text)} & known):
        shutil.copyfile(PACKAGES / "lucide-static" / "icons" / f"{name}.svg", folder / f"{name}.svg")


def _copy_licences() -> None:
    lines = []
    for package in LICENCES:
        folder = PACKAGES / package
        files = (next(folder.glob("LICENSE*")), *folder.glob("NOTICE*"))
        lines += [f"=== {package}\n\n{file.read_text().strip()}\n" for file in files]
    (STATIC / "vendor" / "LICENSES.txt").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
