"""The page on a laptop: its files, its configuration, and what the browser is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from infra.page_headers import content_security_policy, page_headers
from local.dashboard import DashboardServer, PageConfig

pytestmark = pytest.mark.integration

CONFIG = PageConfig(
    region="us-east-1",
    user_pool_id="us-east-1_pool",
    user_pool_client_id="client",
    user_pool_endpoint="http://127.0.0.1:1001",
    graphql="http://127.0.0.1:1002/graphql",
    realtime="ws://127.0.0.1:1002/graphql/realtime",
    stage="laptop",
)


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>page</title>")
    (folder / "assets" / "index-1a2b.js").write_text("export {};")
    (tmp_path / "secret.txt").write_text("outside")
    return folder


@pytest.fixture
async def server(dist: Path) -> AsyncIterator[DashboardServer]:
    running = DashboardServer(CONFIG, dist=dist)
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", (200, "text/html", "no-store")),
        ("index.html", (200, "text/html", "no-store")),
        ("config.json", (200, "application/json", "no-store")),
        ("assets/index-1a2b.js", (200, "text/javascript", "public, max-age=31536000, immutable")),
        ("assets/gone.js", (404, "text/plain", None)),
        ("assets", (404, "text/plain", None)),
    ],
)
async def test_each_file_has_its_type_its_cache_and_all_headers(
    server: DashboardServer,
    http: aiohttp.ClientSession,
    path: str,
    expected: tuple[int, str, str | None],
):
    """Also an error has the headers: it is shown in the same browser."""
    async with http.get(server.url + path) as answer:
        cache = answer.headers.get("Cache-Control")
        kind = answer.content_type.replace("application/java", "text/java")  # before Python 3.12
        assert (answer.status, kind, cache) == expected
        headers = page_headers(CONFIG.origins())
        assert {name: answer.headers[name] for name in headers} == headers


async def test_the_configuration_is_what_the_page_wants(
    server: DashboardServer, http: aiohttp.ClientSession
):
    """By exactly the documented names, and nothing beside them."""
    async with http.get(server.url + "config.json") as answer:
        assert await answer.json() == {
            "region": "us-east-1",
            "userPoolId": "us-east-1_pool",
            "userPoolClientId": "client",
            "userPoolEndpoint": "http://127.0.0.1:1001",
            "graphql": "http://127.0.0.1:1002/graphql",
            "realtime": "ws://127.0.0.1:1002/graphql/realtime",
            "stage": "laptop",
        }


async def test_nothing_outside_of_the_page_is_served(
    server: DashboardServer, http: aiohttp.ClientSession
):
    """Neither by dots nor by dots in disguise."""
    for path in ("../secret.txt", "%2e%2e/secret.txt", "assets/..%2f..%2fsecret.txt"):
        async with http.get(URL(server.url + path, encoded=True)) as answer:
            assert answer.status == 404, path


async def test_an_unbuilt_page_says_how_to_build_it_and_a_built_one_shows_at_once(
    tmp_path: Path, http: aiohttp.ClientSession
):
    """The stack starts all the same, and does not have to be started again."""
    server = DashboardServer(CONFIG, dist=tmp_path / "dist")
    await server.start()
    try:
        async with http.get(server.url) as answer:
            assert answer.status == 503
            assert "make dashboard" in await answer.text()
        (tmp_path / "dist").mkdir()
        (tmp_path / "dist" / "index.html").write_text("built")
        async with http.get(server.url) as answer:
            assert (answer.status, await answer.text()) == (200, "built")
    finally:
        await server.stop()


def test_the_policy_names_each_origin_once_and_allows_nothing_inline():
    """On AWS Cognito is called by its own name."""
    on_aws = CONFIG.model_copy(update={"user_pool_endpoint": None})
    assert on_aws.origins()[-1] == "https://cognito-idp.us-east-1.amazonaws.com"
    policy = content_security_policy([*CONFIG.origins(), *CONFIG.origins()])
    assert (
        "connect-src 'self' http://127.0.0.1:1002 ws://127.0.0.1:1002 http://127.0.0.1:1001;"
        in policy
    )
    assert "unsafe" not in policy
