"""People sign in with a real browser: headless Chromium on the pages of the embedded issuer.

The application is a listener on this machine, as those of az and the SDKs are. After each test the console must be
empty: no error, nothing that a page's policy has stopped.
"""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions as expected
from selenium.webdriver.support.wait import WebDriverWait

from hsmvault.model import base64url
from tests.browser.conftest import Chromium
from tests.instance import DevInstance, names_resolved

pytestmark = pytest.mark.slow

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
VERIFIER = "v" * 43
CHALLENGE = base64url.encode(hashlib.sha256(VERIFIER.encode()).digest())


@dataclass
class Application:
    """Listens on this machine for what the browser brings."""

    server: ThreadingHTTPServer
    got: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def uri(self) -> str:
        return f"http://localhost:{self.server.server_address[1]}"


@pytest.fixture
def application() -> Iterator[Application]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._take(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._take(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _take(self, text: str) -> None:
            if text:
                members = {name: values[0] for name, values in parse_qs(text).items()}
                taken.got.append((self.command, members))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b'<link rel=icon href="data:,"><title>The application</title>')

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        block_on_close = False  # Chromium opens connections for later, and says nothing on them

    taken = Application(Server(("127.0.0.1", 0), Handler))
    thread = threading.Thread(target=taken.server.serve_forever)
    thread.start()
    yield taken
    taken.server.shutdown()
    thread.join()
    taken.server.server_close()


@pytest.fixture
def person(dev_instance: DevInstance) -> tuple[str, str]:
    return dev_instance.environment["HSMVAULT_USER_NAME"], dev_instance.environment["HSMVAULT_USER_PASSWORD"]


def authorize(chromium: Chromium, application: Application, **changes: str) -> str:
    query = {
        "client_id": AZURE_CLI,
        "response_type": "code",
        "redirect_uri": application.uri,
        "scope": "openid profile offline_access",
        "state": "the state",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return f"{chromium.origin}/organizations/oauth2/v2.0/authorize?{urlencode(query)}"


def fill(chromium: Chromium, **values: str) -> None:
    for name, value in values.items():
        element = chromium.driver.find_element(By.NAME, name)
        element.clear()
        element.send_keys(value)


def press(chromium: Chromium, action: str) -> None:
    chromium.driver.find_element(By.CSS_SELECTOR, f"button[value={action}]").click()


def arrived(chromium: Chromium, application: Application) -> tuple[str, dict[str, str]]:
    WebDriverWait(chromium.driver, 20).until(expected.title_is("The application"))
    (got,) = application.got
    application.got.clear()
    return got


def wait_for(chromium: Chromium, title: str) -> None:
    WebDriverWait(chromium.driver, 20).until(expected.title_is(title))


@pytest.mark.parametrize(("mode", "method"), [("query", "GET"), ("form_post", "POST")])
def test_a_person_signs_in_and_the_application_gets_a_code_that_works(
    chromium: Chromium,
    application: Application,
    person: tuple[str, str],
    dev_instance: DevInstance,
    mode: str,
    method: str,
) -> None:
    chromium.driver.get(authorize(chromium, application, response_mode=mode))
    fill(chromium, username=person[0], password=person[1])
    press(chromium, "sign-in")
    how, members = arrived(chromium, application)
    assert (how, members["state"]) == (method, "the state")
    form = {
        "grant_type": "authorization_code",
        "client_id": AZURE_CLI,
        "code": members["code"],
        "redirect_uri": application.uri,
        "code_verifier": VERIFIER,
    }
    with names_resolved():
        answer = requests.post(
            f"{chromium.origin}/organizations/oauth2/v2.0/token",
            form,
            verify=dev_instance.environment["REQUESTS_CA_BUNDLE"],
            timeout=30,
        )
    assert answer.status_code == 200, answer.text

    # The browser stays signed in: the next application is asked about, and goes on at a key.
    chromium.driver.get(authorize(chromium, application, response_mode=mode, prompt="select_account"))
    assert person[0] in chromium.driver.find_element(By.TAG_NAME, "main").text
    chromium.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert "code" in arrived(chromium, application)[1]
    chromium.driver.get(authorize(chromium, application, response_mode=mode))
    assert "code" in arrived(chromium, application)[1]

    chromium.driver.get(f"{chromium.origin}/common/oauth2/v2.0/logout")
    assert "signed out" in chromium.driver.page_source
    chromium.driver.get(authorize(chromium, application, response_mode=mode))
    wait_for(chromium, "Sign in")


def test_the_keyboard_is_enough(chromium: Chromium, application: Application, person: tuple[str, str]) -> None:
    chromium.driver.get(authorize(chromium, application))
    active = chromium.driver.switch_to.active_element
    assert active.get_attribute("name") == "username"  # the focus is where one begins
    active.send_keys(person[0], Keys.TAB)
    active = chromium.driver.switch_to.active_element
    assert active.get_attribute("name") == "password"
    active.send_keys(person[1], Keys.ENTER)  # Enter presses "Sign in", not "Cancel"
    assert "code" in arrived(chromium, application)[1]


def test_a_wrong_password_is_announced_and_corrected(
    chromium: Chromium, application: Application, person: tuple[str, str]
) -> None:
    chromium.driver.get(authorize(chromium, application))
    fill(chromium, username=person[0], password="wrong password")
    press(chromium, "sign-in")
    wait_for(chromium, "Error: Sign in")
    alert = chromium.driver.find_element(By.CSS_SELECTOR, "[role=alert]")
    assert "not right" in alert.text
    password = chromium.driver.find_element(By.NAME, "password")
    assert password.get_attribute("aria-invalid") == "true"
    assert alert.get_attribute("id") in (password.get_attribute("aria-describedby") or "").split()
    assert password.get_attribute("value") == ""
    assert chromium.driver.find_element(By.NAME, "username").get_attribute("value") == person[0]
    assert chromium.driver.switch_to.active_element.get_attribute("name") == "password"
    fill(chromium, password=person[1])
    press(chromium, "sign-in")
    assert "code" in arrived(chromium, application)[1]


@pytest.mark.usefixtures("must_change")
def test_a_first_password_is_changed(chromium: Chromium, application: Application, person: tuple[str, str]) -> None:
    chromium.driver.get(authorize(chromium, application))
    fill(chromium, username=person[0], password=person[1])
    press(chromium, "sign-in")
    wait_for(chromium, "Change your password")
    fill(chromium, password=person[1], new_password="short", new_password_again="short")
    press(chromium, "change")
    wait_for(chromium, "Error: Change your password")
    assert "at least 12" in chromium.driver.find_element(By.CSS_SELECTOR, "[role=alert]").text
    chosen = "four green tortoises sing"
    fill(chromium, password=person[1], new_password=chosen, new_password_again=chosen)
    press(chromium, "change")
    assert "code" in arrived(chromium, application)[1]


def test_cancelling_goes_back_to_the_application(chromium: Chromium, application: Application) -> None:
    chromium.driver.get(authorize(chromium, application, response_mode="form_post"))
    press(chromium, "cancel")
    how, members = arrived(chromium, application)
    assert (how, members["error"]) == ("POST", "access_denied")


def test_a_device_is_approved(chromium: Chromium, person: tuple[str, str], dev_instance: DevInstance) -> None:
    form = {"client_id": AZURE_CLI, "scope": "openid offline_access"}
    verify = dev_instance.environment["REQUESTS_CA_BUNDLE"]
    with names_resolved():
        started = requests.post(
            f"{chromium.origin}/organizations/oauth2/v2.0/devicecode", form, verify=verify, timeout=30
        ).json()
    chromium.driver.get(started["verification_uri"])
    fill(chromium, user_code="no such code")
    press(chromium, "next")
    wait_for(chromium, "Error: Enter the code of your device")
    fill(chromium, user_code=started["user_code"].lower())
    chromium.driver.switch_to.active_element.send_keys(Keys.ENTER)
    wait_for(chromium, "Sign in")
    fill(chromium, username=person[0], password=person[1])
    press(chromium, "sign-in")
    wait_for(chromium, "Are you trying to sign in?")
    assert "Microsoft Azure CLI" in chromium.driver.find_element(By.TAG_NAME, "main").text
    press(chromium, "continue")
    wait_for(chromium, "Signed in")
    form = {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "client_id": AZURE_CLI,
        "device_code": started["device_code"],
    }
    with names_resolved():
        answer = requests.post(f"{chromium.origin}/organizations/oauth2/v2.0/token", form, verify=verify, timeout=30)
    assert answer.status_code == 200, answer.text


def test_everything_works_without_scripts(
    chromium_without_scripts: Chromium, application: Application, person: tuple[str, str]
) -> None:
    chromium = chromium_without_scripts
    chromium.driver.get(authorize(chromium, application, response_mode="form_post"))
    fill(chromium, username=person[0], password=person[1])
    press(chromium, "sign-in")
    wait_for(chromium, "Signing you in")
    chromium.driver.find_element(By.TAG_NAME, "button").click()
    assert "code" in arrived(chromium, application)[1]


def test_every_field_has_a_label_and_every_page_a_language(
    chromium: Chromium, application: Application, dev_instance: DevInstance
) -> None:
    for url in (
        authorize(chromium, application),
        f"{chromium.origin}/device",
        f"{chromium.origin}/common/oauth2/v2.0/logout",
    ):
        chromium.driver.get(url)
        assert chromium.driver.find_element(By.TAG_NAME, "html").get_attribute("lang") == "en"
        assert len(chromium.driver.find_elements(By.TAG_NAME, "h1")) == 1
        for element in chromium.driver.find_elements(By.CSS_SELECTOR, "input:not([type=hidden])"):
            assert element.accessible_name
        for element in chromium.driver.find_elements(By.TAG_NAME, "button"):
            assert element.accessible_name


def test_what_is_wrong_before_the_application_is_known_is_a_page(chromium: Chromium, application: Application) -> None:
    chromium.driver.get(authorize(chromium, application, redirect_uri="https://evil.example/"))
    wait_for(chromium, "Error: Sign-in is not possible")
    main = chromium.driver.find_element(By.TAG_NAME, "main").text
    assert "AADSTS50011" in main
    assert "evil" not in main
    assert application.got == []
    problems = chromium.problems()  # Chromium itself writes down that the answer was a 400, and nothing else
    assert all("status of 400" in line for line in problems), problems


def test_a_page_does_not_stand_in_a_frame(chromium: Chromium, application: Application) -> None:
    """The page around it is the application, whose word the frame would be taken for."""
    chromium.driver.get(application.uri)
    url = authorize(chromium, application)
    load = (
        "const frame = document.createElement('iframe'); frame.onload = () => arguments[1](); "
        "frame.src = arguments[0]; document.body.append(frame);"
    )
    chromium.driver.execute_async_script(load, url)
    chromium.driver.switch_to.frame(chromium.driver.find_element(By.TAG_NAME, "iframe"))
    assert chromium.driver.find_elements(By.NAME, "password") == []
    assert "Sign in" not in chromium.driver.find_element(By.TAG_NAME, "body").text
    chromium.driver.switch_to.default_content()
    problems = chromium.problems()
    assert all("frame-ancestors" in line for line in problems), problems
