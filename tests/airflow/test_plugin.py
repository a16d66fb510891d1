"""The plugins folder, as Airflow loads it: it executes every file there, which must not replace anybody's module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]


def test_airflow_executes_one_file_only() -> None:
    from airflow._shared.module_loading import find_path_from_directory

    executed = [
        Path(path).relative_to(PLUGINS)
        for path in find_path_from_directory(str(PLUGINS), ".airflowignore", "glob")
        if path.endswith(".py")
    ]
    assert executed == [Path("cogent_ops_plugin.py")]


def test_no_file_there_has_a_name_that_could_shadow_another_module() -> None:
    taken = sys.stdlib_module_names | {"airflow", "pydantic", "sqlalchemy", "pandas", "httpx"}
    assert not [file.name for file in PLUGINS.glob("*.py") if file.stem in taken]


def test_loads_without_error_and_brings_the_reports() -> None:
    script = (
        "import http, queue, sys; before = (http, queue);"
        "from airflow.plugins_manager import get_import_errors, get_plugin_info;"
        "import airflow.plugins_manager as manager;"
        "names = [p['name'] for p in get_plugin_info()]; assert 'cogent_ops' in names, names;"
        "assert not get_import_errors(), get_import_errors();"
        "assert (sys.modules['http'], sys.modules['queue']) == before;"
        "import cogent_ops.errors; assert 'errors' not in sys.modules; print('ok')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.stdout.strip().endswith("ok"), done.stderr


def test_loading_it_imports_nothing_heavy() -> None:
    script = (
        "import sys; import airflow.sdk, airflow.plugins_manager; before = set(sys.modules);"
        "from cogent_ops.plugin import CogentOpsPlugin; print('\\n'.join(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=os.environ, check=True
    )
    loaded = set(done.stdout.split())
    assert "cogent_ops.plugin" in loaded
    heavy = (
        "pandas",
        "great_expectations",
        "sqlalchemy",
        "fastapi",
        "airflow.providers",
        "cogent_ops.operators",
        "cogent_ops.services",
        "cogent_ops.web.reports",
        "cogent_ops.web.live_stock",
    )
    assert not [name for name in loaded if name.startswith(heavy)]


def test_provider_metadata_is_valid_and_names_things_that_exist() -> None:
    import importlib

    import jsonschema

    import airflow
    from cogent_ops.provider_info import get_provider_info

    info = get_provider_info()
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(info, schema)
    for kind in info["connection-types"]:
        module, _, name = kind["hook-class-name"].rpartition(".")
        hook = getattr(importlib.import_module(module), name)
        assert hook.conn_type == kind["connection-type"]
        assert callable(hook.test_connection)


@pytest.fixture(scope="module")
def client() -> Any:
    from airflow.api_fastapi.app import create_app
    from airflow.utils.db import initdb
    from fastapi.testclient import TestClient

    initdb()
    return TestClient(create_app(apps="core"), base_url="http://testserver", raise_server_exceptions=False)


def login(client: Any, name: str) -> dict[str, str]:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    role = {"ada": "admin", "vic": "viewer"}[name]
    token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))
    return {"Authorization": f"Bearer {token}"}


PAGES = ["/", "/default/some-run/index.html", "/default/some-run/fix_list.csv", "/nobody/x/y"]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_refuses_without_login(client: Any, page: str) -> None:
    assert client.get(f"/cogent_ops/reports{page}").status_code == 401
    assert client.get(
        f"/cogent_ops/reports{page}", headers={"Authorization": "Bearer wrong"}
    ).status_code in (401, 403)


def test_no_page_exists_that_a_stranger_may_read(client: Any) -> None:
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert client.get(f"/cogent_ops/reports{path}").status_code in (401, 404)


def test_a_viewer_reads_the_list_and_no_file_outside_the_reports(client: Any) -> None:
    headers = login(client, "vic")
    answer = client.get("/cogent_ops/reports/", headers=headers)
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for page in PAGES[1:]:
        assert client.get(f"/cogent_ops/reports{page}", headers=headers).status_code == 404
    for escape in ("%2e%2e/%2e%2e/airflow.cfg", "..%2f..%2fairflow.cfg", "x/..%5c..%5cairflow.cfg"):
        assert client.get(f"/cogent_ops/reports/default/{escape}", headers=headers).status_code in (401, 404)


# Two endpoints have tokens of their own instead of a login; the other pages keep theirs.

LIVE = "/cogent_ops/live-stock"
MOVEMENTS = "/cogent_ops/movements"


def test_the_endpoint_for_kiosks_asks_for_its_token_and_for_no_login(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = json.dumps({"conn_type": "generic", "password": "a-token-that-nobody-guesses"})
    monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_LIVE_STOCK_DEFAULT", conn)
    commercetools = {"project_key": "p", "auth_url": "http://127.0.0.1:9/auth"}
    shop = {"conn_type": "commercetools", "host": "http://127.0.0.1:9", "login": "i", "password": "s"}
    monkeypatch.setenv("AIRFLOW_CONN_COMMERCETOOLS_DEFAULT", json.dumps({**shop, "extra": commercetools}))
    for headers in ({}, {"Authorization": "Bearer wrong"}, login(client, "ada")):
        refused = client.get(f"{LIVE}/default?variant=x", headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")
    admitted = {"Authorization": "Bearer a-token-that-nobody-guesses"}
    assert client.get(f"{LIVE}/default", headers=admitted).json()["error"] == "bad_request"
    assert client.get(f"{LIVE}/default?variant=x", headers=admitted).json()["error"] == "unavailable"
    assert client.get("/cogent_ops/reports/", headers=admitted).status_code in (401, 403)


def test_the_endpoint_for_movements_asks_for_its_token_and_for_no_login(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = json.dumps({"conn_type": "generic", "password": "another-token-that-nobody-guesses"})
    monkeypatch.setenv("AIRFLOW_CONN_COGENT_OPS_MOVEMENTS_DEFAULT", conn)
    commercetools = {"project_key": "p", "auth_url": "http://127.0.0.1:9/auth"}
    shop = {"conn_type": "commercetools", "host": "http://127.0.0.1:9", "login": "i", "password": "s"}
    monkeypatch.setenv("AIRFLOW_CONN_COMMERCETOOLS_DEFAULT", json.dumps({**shop, "extra": commercetools}))
    for headers in ({}, {"Authorization": "Bearer wrong"}, login(client, "ada")):
        refused = client.post(f"{MOVEMENTS}/default", json={"movements": []}, headers=headers)
        assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")
    admitted = {"Authorization": "Bearer another-token-that-nobody-guesses"}
    assert client.post(f"{MOVEMENTS}/default", headers=admitted).json()["error"] == "no_json"
    assert client.get("/cogent_ops/reports/", headers=admitted).status_code in (401, 403)


def test_every_route_of_every_other_app_asks_for_a_login() -> None:
    """An app that comes later cannot forget it: Airflow authenticates none of them."""
    from cogent_ops.plugin import CogentOpsPlugin

    apps = {one["url_prefix"]: one["app"] for one in CogentOpsPlugin().fastapi_apps}
    with_tokens = {LIVE, MOVEMENTS}
    assert with_tokens < set(apps)
    for prefix, app in apps.items():
        guarded = [bool(getattr(route, "dependencies", [])) for route in app.routes]
        assert guarded
        assert all(guarded) or prefix in with_tokens, prefix
