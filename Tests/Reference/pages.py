"""Looks at pages in a browser: nothing leaves the machine, nothing is wider than a phone, keys work.

    python Tests/Reference/pages.py [--browser PROGRAM] [--pictures DIR] PAGE...

PAGE is an `index.html` of stage `report`, `spo evaluate` or `spo audit`, or a page of `spo watch`. Each is opened
from its file at 1280 and at 390 pixels and without scripts. Needs `playwright` and a Chromium: the one that
`playwright install chromium` brings, or PROGRAM. `--pictures` keeps what was seen.
"""

import argparse
import pathlib
import sys

from playwright.sync_api import sync_playwright

DIALOG = "dialog.viewer"


class Page:
    """One page at one width, with what is wrong with it."""

    def __init__(self, browser, path, width, scripts, pictures):
        self.problems, self.name = [], f"{path}, {width} px{'' if scripts else ', no scripts'}"
        self.width, self.scripts, self.pictures, self.path = width, scripts, pictures, path
        self.context = browser.new_context(
            viewport={"width": width, "height": 900 if width > 600 else 844}, java_script_enabled=scripts)
        self.page = self.context.new_page()
        self.page.on("request", self.request)
        self.page.on("console", lambda message: self.problems.append(f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.goto(path.resolve().as_uri())

    def request(self, request):
        if not request.url.startswith(("file:", "data:")):
            self.problems.append(f"a request for {request.url}")

    def expect(self, holds, what):
        if not holds:
            self.problems.append(what)

    def shoot(self, suffix, whole=False):
        if self.pictures:
            name = "-".join(self.path.resolve().parts[-3:]).removesuffix(".html")
            self.page.screenshot(
                path=str(self.pictures / f"{name}-{self.width}{suffix}.png"), full_page=whole)

    def check(self):
        seen = self.page.locator("img").count()
        if self.scripts:
            size = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            self.expect(size[0] <= size[1], f"{size[0]} pixels wide on a screen of {size[1]}")
            broken = self.page.evaluate(
                "[...document.images].filter(i => i.getAttribute('src') && !i.naturalWidth).length")
            self.expect(broken == 0, f"{broken} pictures are not shown")
            self.shoot("", whole=True)
            if seen:
                self.check_dialog()
            self.check_lists()
        else:
            self.expect(self.page.locator("script").count() <= 1, "more than one script")
            self.expect(self.page.locator(DIALOG).count() == 0, "a dialog that no script opens")
            self.expect(all(self.page.locator("img").nth(i).is_visible() for i in range(min(seen, 8))),
                        "pictures that only a script would show")
        self.context.close()
        return self.problems

    def is_open(self):
        return self.page.evaluate(f"document.querySelector('{DIALOG}').open")

    def place(self):
        return self.page.locator(f"{DIALOG} .place").inner_text()

    def check_dialog(self):
        keyboard = self.page.keyboard
        first = self.page.locator(".pictures .shots img").first
        first.scroll_into_view_if_needed()
        first.click()
        self.expect(self.is_open(), "a click does not open the dialog")
        self.page.wait_for_timeout(200)
        self.shoot("-dialog")
        box = self.page.locator(DIALOG).bounding_box()
        self.expect(box["x"] >= 0 and box["x"] + box["width"] <= self.width, f"the dialog is at {box}")
        wide = self.page.evaluate(
            f"(d => d.scrollWidth - d.clientWidth)(document.querySelector('{DIALOG}'))")
        self.expect(wide <= 0, f"the dialog scrolls sideways by {wide} pixels")
        slider = self.page.locator(f"{DIALOG} input")
        if slider.is_visible():
            self.check_slider(slider)
        before = self.place()
        keyboard.press("ArrowRight")
        several = not before.endswith("of 1")
        self.expect((self.place() != before) == several, "the arrow keys lead to no other picture")
        keyboard.press("ArrowLeft")
        self.expect(self.place() == before, "the arrow keys do not lead back")
        keyboard.press("Escape")
        self.expect(not self.is_open(), "Esc does not close the dialog")
        first.focus()
        for key in ("Enter", " "):
            keyboard.press(key)
            self.expect(self.is_open(), f"the key {key!r} does not open the dialog")
            keyboard.press("Escape")
        focused = self.page.evaluate("document.activeElement.tagName")
        self.expect(focused == "IMG", f"after the dialog {focused} has the focus")

    def check_slider(self, slider):
        values = [slider.input_value()]
        for _ in range(2):
            self.page.keyboard.press(" ")
            values.append(slider.input_value())
        self.expect(values == ["50", "100", "0"] or values == ["50", "0", "100"],
                    f"space swaps the pictures to {values}")
        box = self.page.locator(f"{DIALOG} .stage").bounding_box()
        height = box["y"] + box["height"] / 2
        self.page.mouse.move(box["x"] + box["width"] * 0.5, height)
        self.page.mouse.down()
        self.page.mouse.move(box["x"] + box["width"] * 0.25, height)
        self.page.mouse.up()
        self.expect(abs(float(slider.input_value()) - 25) <= 2,
                    f"dragging leaves the slider at {slider.input_value()}, not 25")
        slider.focus()
        self.page.keyboard.press("ArrowRight")
        self.expect(abs(float(slider.input_value()) - 26) <= 2, "the slider has no keys")
        self.page.locator(f"{DIALOG} .stage").focus()

    def check_lists(self):
        """Links to pictures beside the page open in the dialog."""
        lists = self.page.locator("details:has(a.shot)")
        for number in range(lists.count()):
            folded = lists.nth(number)
            folded.locator("summary").click()
            folded.locator("a.shot").last.click()
            self.page.wait_for_timeout(300)
            self.expect(self.is_open(), "a link of a list does not open the dialog")
            size = self.page.evaluate(f"document.querySelector('{DIALOG} .over').naturalWidth")
            self.expect(size > 0, "a picture beside the page is not shown")
            self.page.keyboard.press("Escape")
            folded.locator("summary").click()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pages", nargs="+", type=pathlib.Path)
    parser.add_argument("--browser", help="a Chromium that is installed")
    parser.add_argument("--pictures", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)
    failed = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=arguments.browser)
        for path in arguments.pages:
            for width, scripts in ((1280, True), (390, True), (390, False)):
                page = Page(browser, path, width, scripts, arguments.pictures)
                problems = page.check()
                failed += bool(problems)
                print(f"{'FAIL' if problems else 'ok  '}  {page.name}" + "".join(f"\n      {p}" for p in problems))
        browser.close()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
