"""Route templates as the real host reads them."""

from __future__ import annotations

import pytest

from local.routes import Match, Router
from shared.errors import ConfigurationError

ROUTER = Router(
    [
        ("list", "v1/transactions", ["GET"]),
        ("ingest", "v1/transactions", ["POST"]),
        ("one", "v1/transactions/{id}", ["GET"]),
        ("export", "v1/transactions/export", ["GET"]),
        ("numbered", "v1/pages/{number:int}", []),
        ("named", "v1/pages/{name:alpha}", []),
        ("optional", "v1/reports/{year:int}/{month:int?}", []),
        ("files", "files/{*path}", []),
        ("short", "v1/codes/{code:length(3)}", []),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/api/v1/transactions", Match("list", {})),
        ("GET", "/api/v1/transactions/", Match("list", {})),
        ("POST", "/API/V1/Transactions", Match("ingest", {})),
        ("GET", "/api/v1/transactions/T-1", Match("one", {"id": "T-1"})),
        ("GET", "/api/v1/transactions/a%2Fb%20c", Match("one", {"id": "a/b c"})),
        ("GET", "/api/v1/transactions/export", Match("export", {})),
        ("GET", "/api/v1/pages/12", Match("numbered", {"number": "12"})),
        ("GET", "/api/v1/pages/twelve", Match("named", {"name": "twelve"})),
        ("GET", "/api/v1/pages/12a", None),
        ("GET", "/api/v1/reports/2026", Match("optional", {"year": "2026"})),
        ("GET", "/api/v1/reports/2026/3", Match("optional", {"year": "2026", "month": "3"})),
        ("GET", "/api/files", Match("files", {})),
        ("GET", "/api/files/a/b", Match("files", {"path": "a/b"})),
        ("GET", "/api/v1/codes/EUR", Match("short", {"code": "EUR"})),
        ("GET", "/api/v1/codes/EURO", None),
        ("DELETE", "/api/v1/transactions", ["GET", "POST"]),
        ("GET", "/v1/transactions", None),
        ("GET", "/api/v1", None),
        ("GET", "/", None),
    ],
)
def test_a_path_finds_its_function(method: str, path: str, expected: object):
    assert ROUTER.find(method, path) == expected


def test_the_prefix_may_be_empty():
    assert Router([("a", "x", [])], prefix="").find("GET", "/x") == Match("a", {})


@pytest.mark.parametrize(
    "routes",
    [
        [("a", "x/{id:uuidish}", [])],
        [("a", "x/pre{id}", [])],
        [("a", "x/{id", [])],
        [("a", "x/{id}", ["GET"]), ("b", "x/{id}", ["GET"])],
    ],
)
def test_a_template_we_would_read_wrongly_is_refused(routes: list):
    with pytest.raises(ConfigurationError):
        Router(routes)
