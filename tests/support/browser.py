"""A page of an agent in a real browser, Chromium driven through its own chromedriver.

What the page asks of other hosts and what its console reports are kept, see :meth:`Page.faults`.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from support.agents import PATIENCE_S

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: What Chromium says of requests that it aborts because a network interface came or went, as containers' do. That is
#: no fault of the page.
_ABORTED = "net::ERR_NETWORK_CHANGED"
_LOADS = 5
DESKTOP = (1280, 900)
PHONE = (360, 780)


def missing_browser() -> str | None:
    """Return why there is no browser to test in; None where there is one."""
    if _browser() is None or shutil.which("chromedriver") is None:
        return "no Chromium with its chromedriver is installed (apt-get install chromium chromium-driver)"
    return None


def _browser() -> str | None:
    return next(filter(None, map(shutil.which, _CHROMIUM)), None)


@contextlib.contextmanager
def browser(profile: Path, downloads: Path) -> Iterator[webdriver.Chrome]:
    """Return a browser with a new ``profile``; what it saves goes to ``downloads``."""
    options = webdriver.ChromeOptions()
    options.binary_location = _browser() or ""
    for flag in (*_FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """The dashboard of the agent at ``url``."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver = driver
        self.url = url
        self._console: list[str] = []
        self._asked: list[str] = []
        driver.get_log("browser")  # what an earlier page left
        driver.get_log("performance")
        self.resize(DESKTOP)
        self.emulate()

    def open(self, route: str = "") -> Page:
        """Load the page anew, at a route such as ``#/results``; again if Chromium aborted a part of it."""

        def load() -> None:
            self.driver.get("about:blank")
            self.driver.get(f"{self.url}/{route}")

        return self._whole(load)

    def refresh(self) -> Page:
        """Load what is shown once more; again if Chromium aborted a part of it."""
        return self._whole(self.driver.refresh)

    def _whole(self, load: Callable[[], None]) -> Page:
        for _ in range(_LOADS):
            load()
            if not self._read_console():
                break
        return self

    # Looking

    def find(self, css: str, containing: str = "") -> WebElement:
        """Return the first element of that selector and text, once it is there."""
        return self.until(lambda: self._first(css, containing), f"{css} containing {containing!r}")

    def text(self, css: str = "main") -> str:
        """Return the text of an element that is there."""
        return self.find(css).text

    def texts(self, css: str) -> list[str]:
        """Return the text of each element of that selector."""
        return [element.text for element in self.driver.find_elements(By.CSS_SELECTOR, css)]

    def gone(self, css: str, containing: str = "") -> None:
        """Return once there is no such element."""
        self.until(lambda: self._first(css, containing) is None, f"no {css} containing {containing!r}")

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Return what ``holds`` returns once that is true."""
        wait = WebDriverWait(self.driver, PATIENCE_S, 0.05, [StaleElementReferenceException])
        return wait.until(lambda _: holds(), f"never came: {what}; the page is\n{self._body()}")

    def script(self, code: str, *arguments: Any) -> Any:
        """Return what JavaScript ``code`` returns."""
        return self.driver.execute_script(code, *arguments)

    def module(self, name: str, code: str, *arguments: Any) -> Any:
        """Return what ``code`` gives, where ``m`` is the dashboard's module of that name and ``a`` the arguments."""
        script = f"const m = await import('/dashboard/{name}'); const a = [...arguments]; return ({code});"
        return self.driver.execute_script(
            f"return (async function () {{ {script} }}).apply(null, arguments);", *arguments
        )

    def _first(self, css: str, containing: str) -> WebElement | None:
        found = self.driver.find_elements(By.CSS_SELECTOR, css)
        return next((each for each in found if each.is_displayed() and containing in each.text), None)

    def _body(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text

    # Doing

    def click(self, css: str, containing: str = "") -> None:
        """Click an element once it is there, also where the page replaces it just now."""

        def clicked() -> bool:
            element = self._first(css, containing)
            if element is None:
                return False
            element.click()
            return True

        self.until(clicked, f"{css} containing {containing!r}")

    def sign_in(self, token: str) -> None:
        """Enter a token in the form that asks for it."""
        field = self.find("#token")
        field.clear()
        field.send_keys(token + Keys.ENTER)

    def press(self, *keys: str) -> None:
        """Press keys, whatever has the focus."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def focused(self) -> WebElement:
        """Return the element that has the focus."""
        return self.driver.switch_to.active_element

    def resize(self, size: tuple[int, int]) -> None:
        """Have the page as wide and high as that."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def emulate(self, scheme: str = "light", motion: str = "no-preference") -> None:
        """Have the system ask for these colours and this motion."""
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    # What went on behind

    def faults(self, allowed: tuple[str, ...] = ()) -> list[str]:
        """Return what the console reported and which other hosts were asked, but lines that hold one of ``allowed``."""
        self._read_console()
        self._asked += list(map(str, filter(None, map(_address, self.driver.get_log("performance")))))
        foreign = [address for address in self._asked if not self._is_ours(address)]
        return [line for line in (*self._console, *foreign) if not any(word in line for word in allowed)]

    def _read_console(self) -> bool:
        """Take in what the console reported; returns whether it was of a request that Chromium aborted by itself."""
        lines = [f"{entry['level']}: {entry['message']}" for entry in self.driver.get_log("browser")]
        self._console += [line for line in lines if _ABORTED not in line]
        return any(_ABORTED in line for line in lines)

    def asked(self) -> list[str]:
        """Return the addresses that the page asked for."""
        self.faults()
        return self._asked

    def _is_ours(self, address: str) -> bool:
        parts = urlsplit(address)
        return parts.scheme in ("about", "blob", "data") or f"{parts.scheme}://{parts.netloc}" == self.url


def _address(entry: dict[str, Any]) -> str | None:
    message = json.loads(entry["message"])["message"]
    if message["method"] != "Network.requestWillBeSent":
        return None
    address: str = message["params"]["request"]["url"]
    return address
