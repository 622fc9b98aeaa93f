"""Every page of the dashboard and every file of it, as they are served."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin

import pytest
from flask import Flask

import admin_app.ui.pages
from admin_app.ui.pages import MISSING, PAGES, VERSION, Page
from tests.admin_app.world import app_of, make_world

STATIC = Path(admin_app.ui.pages.__file__).parent / "static"
TEMPLATES = STATIC.with_name("templates")
FILES = f"/ui/files/{VERSION}"
CSP = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
SOURCES = sorted(path for folder in (STATIC, TEMPLATES) for path in folder.rglob("*") if path.suffix)
SCRIPTS = sorted(STATIC.rglob("*.js"))
CHANGING = ("post", "put", "patch", "delete")
_SVG = "http://www.w3.org/2000/svg"


class Elements(HTMLParser):
    """The elements of a page, with their attributes and texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._open = tag

    def handle_data(self, data: str) -> None:
        self.texts[self._open] = self.texts.get(self._open, "") + data.strip()

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for found, attributes in self.found if found == tag]

    def links(self) -> Iterator[str]:
        for _, attributes in self.found:
            for name in ("href", "src", "action"):
                if value := attributes.get(name):
                    yield value


def path_of(page: Page) -> str:
    return re.sub(r"<(?:path:)?(\w+)>", r"\1-1", page.path)


@pytest.fixture(params=[*PAGES, MISSING], ids=lambda page: page.name)
def page(request: pytest.FixtureRequest) -> Page:
    found: Page = request.param
    return found


def test_page_is_served_without_a_key_and_has_a_title_a_heading_and_landmarks(app: Flask, page: Page) -> None:
    response = app.test_client().get(path_of(page))
    assert response.status_code == (404 if page is MISSING else 200)
    assert response.content_type == "text/html; charset=utf-8"
    assert response.headers["Content-Security-Policy"] == CSP
    elements = Elements(response.text)
    assert re.fullmatch(r"[A-Z][^·]+ · AI Gateway", elements.texts["title"])
    assert [len(elements.all(tag)) for tag in ("h1", "main", "html")] == [1, 1, 1]
    assert elements.all("html")[0]["lang"] == "en"
    if page.name != "login":
        assert {"Main"} <= {nav.get("aria-label") for nav in elements.all("nav")}
        assert len([one for one in elements.all("a") if one.get("aria-current")]) == (page is not MISSING)


def test_page_has_nothing_inline_and_nothing_of_others(app: Flask, page: Page) -> None:
    text = app.test_client().get(path_of(page)).text
    elements = Elements(text)
    assert not elements.all("style")
    assert all(script.get("src") for script in elements.all("script"))
    for tag, attributes in elements.found:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], (
            tag,
            attributes,
        )
    assert "http://" not in text
    assert "https://" not in text
    assert "javascript:" not in text


def test_links_of_a_page_lead_somewhere(app: Flask, page: Page) -> None:
    client, path = app.test_client(), path_of(page)
    links = {urljoin(path, link).partition("#")[0] for link in Elements(client.get(path).text).links()}
    assert len(links) > 3
    for link in links:
        assert client.get(link, buffered=True).status_code == 200 or link == path, link


def test_page_that_is_unchanged_is_not_sent_again(app: Flask, page: Page) -> None:
    client = app.test_client()
    tag = client.get(path_of(page)).headers["ETag"]
    again = client.get(path_of(page), headers={"If-None-Match": tag})
    assert again.status_code == (404 if page is MISSING else 304)


@pytest.mark.parametrize("evil", ['"><script>alert(1)</script>', "'onload='x", "{{7*7}}", "%3Cb%3E"])
def test_address_of_a_page_is_text_in_it(app: Flask, evil: str) -> None:
    response = app.test_client().get("/ui/tenants/" + evil.replace("/", "%2F").replace('"', "%22"))
    assert "<script>alert" not in response.text
    assert not [
        name for _, attributes in Elements(response.text).found for name in attributes if name == "onload"
    ]
    assert "49" not in Elements(response.text).texts.get("h1", "")


def test_root_leads_to_the_dashboard(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/").headers["Location"] == "/ui/"
    assert client.get("/ui").status_code == 200


def test_pages_below_the_prefix_of_a_trusted_proxy_link_below_it(tmp_path: Path) -> None:
    app = app_of(make_world(tmp_path, trusted_proxies="127.0.0.0/8"))
    text = app.test_client().get("/ui/", headers={"X-Forwarded-Prefix": "/gw"}).text
    links = [link for link in Elements(text).links() if not link.startswith("#")]
    assert len(links) > 20
    assert all(link.startswith("/gw/") for link in links)
    assert app.test_client().get("/", headers={"X-Forwarded-Prefix": "/gw"}).headers["Location"] == "/gw/ui/"


def test_file_is_kept_forever_under_the_hash_of_all_files_only(app: Flask) -> None:
    client = app.test_client()
    current = client.get(f"{FILES}/kit/dom.js", buffered=True)
    assert current.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert client.get("/ui/files/0/kit/dom.js", buffered=True).headers["Cache-Control"] == "no-store"


def test_files_are_served_with_their_types(app: Flask) -> None:
    client = app.test_client()
    types = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    for path in (path for path in STATIC.rglob("*") if path.is_file()):
        response = client.get(f"{FILES}/{path.relative_to(STATIC).as_posix()}", buffered=True)
        assert (response.status_code, response.mimetype) == (200, types[path.suffix])
        assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "name", ["../pages.py", "..%2fpages.py", "%2e%2e/pages.py", "/etc/passwd", "kit", "", "nothing.js"]
)
def test_files_of_the_dashboard_only_are_served(app: Flask, name: str) -> None:
    assert app.test_client().get(f"{FILES}/{name}").status_code == 404


def _offenders(pattern: str, paths: Iterable[Path] = SOURCES) -> list[tuple[str, str]]:
    """The matches in the files, with their names."""
    texts = ((path, path.read_text(encoding="utf-8").replace(_SVG, "")) for path in paths)
    return [(path.name, found) for path, text in texts for found in re.findall(pattern, text)]


def test_scripts_set_text_as_text_only() -> None:
    markup = r"(?:inner|outer)HTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|setHTML"
    assert _offenders(markup, SCRIPTS) == []


def test_scripts_import_what_is_there() -> None:
    for path in SCRIPTS:
        for name in re.findall(r'(?:from|import) "(\.[^"]+)"', path.read_text(encoding="utf-8")):
            assert (path.parent / name).is_file(), (path.name, name)


def test_sources_keep_the_bounds_of_the_house() -> None:
    for path in SOURCES:
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 400, path.name
        long = [number for number, line in enumerate(lines, 1) if len(line) > 110]
        assert path.suffix in (".html", ".svg") or not long, (path.name, long)


def test_sources_name_no_other_host() -> None:
    """Examples may."""
    assert _offenders(r"https?://(?!localhost|[\w.-]*example\.(?:com|org)|\$\{|api\.openai\.com)[\w.]+") == []


def test_colors_are_named_by_their_tokens_only() -> None:
    styles = [path for path in SOURCES if path.suffix == ".css" and path.name != "tokens.css"]
    assert _offenders(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|light-dark)a?\(", styles) == []


def test_page_audit_has_words_for_every_operation_that_changes_the_configuration(app: Flask) -> None:
    text = (STATIC / "pages" / "history" / "words.js").read_text(encoding="utf-8")
    words = set(re.findall(r"^  (\w+): ", text.partition("OPERATIONS")[2], re.MULTILINE))
    paths = app.test_client().get("/openapi.json").get_json()["paths"].values()
    calls = {one[method]["operationId"] for one in paths for method in one if method in CHANGING}
    no_change = r"explain|plan|test|(open|close)(Platform)?Target"
    assert words == {name for name in calls if not re.match(no_change, name)}


def test_every_page_has_a_module_and_a_template_and_none_is_left() -> None:
    names = {page.template or page.name for page in (*PAGES, MISSING)}
    templates = {path.stem for path in TEMPLATES.rglob("*.html")} - {"base", "parts"}
    assert templates == names
    modules = {path.stem for path in (STATIC / "pages").glob("*.js")}
    for path in TEMPLATES.rglob("*.html"):
        for name in re.findall(r"block page %}(\w+){%", path.read_text(encoding="utf-8")):
            assert name in modules
