"""Messages through real Airflow connections to a real web server and a real mail server; and what Airflow reports."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.inboxes import Mailbox, Webhooks, mailbox, webhooks
from tests.support.leaks import scan

from cogent_ops.domain.exceptions import Kind, NewException, Owner
from cogent_ops.domain.policies import Channel
from cogent_ops.errors import CogentOpsError, PermanentError, RetryableError
from cogent_ops.store import Store

ROOT = Path(__file__).resolve().parents[2]
#: The part of a webhook's address that nobody may read.
SECRET = "/services/T0000/B0000/kTz9secretkTz9secret"
LINK = "default"

pytestmark = [pytest.mark.airflow, pytest.mark.xdist_group("airflow")]


@pytest.fixture(scope="module", autouse=True)
def airflow_database() -> None:
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def hooks() -> Iterator[Webhooks]:
    with webhooks() as running:
        yield running


@pytest.fixture
def post(hooks: Webhooks, monkeypatch: pytest.MonkeyPatch) -> Webhooks:
    """The webhook behind the connection that messages go through by default."""
    connect(monkeypatch, "cogent_ops_alerts", conn_type="http", host=hooks.url, password=SECRET)
    return hooks


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mailbox() as running:
        connect_mail(monkeypatch, running)
        yield running


@pytest.fixture
def own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A fresh store behind the connection that tasks read."""
    from cogent_ops.store import open_store, upgrade

    connect(monkeypatch, "cogent_ops_store", conn_type="sqlite", host=str(tmp_path / "store.db"))
    upgrade(f"sqlite:///{tmp_path / 'store.db'}")
    return open_store(f"sqlite:///{tmp_path / 'store.db'}")


def connect(monkeypatch: pytest.MonkeyPatch, conn_id: str, **fields: Any) -> None:
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))


def connect_mail(monkeypatch: pytest.MonkeyPatch, box: Mailbox, **extra: Any) -> None:
    plain = {"disable_tls": True, "disable_ssl": True, "from_email": "ops@example.com", "retry_limit": 0}
    fields = {
        "conn_type": "smtp",
        "host": "127.0.0.1",
        "port": box.port,
        "login": "ops",
        "password": "s3cret-word",
    }
    connect(monkeypatch, "mail", **fields, extra=plain | extra)


WEBHOOK = Channel()
SLACK = Channel(type="slack")
MAIL = Channel(type="email", connection="mail", to=("finance@example.com", "ada@example.com"))


def deliver(channel: Channel, subject: str = "[CRITICAL] Late: 1", body: str = "- one\n- two") -> None:
    from cogent_ops.channels import deliver as deliver_

    deliver_(channel, subject, body)


def failure(channel: Channel) -> CogentOpsError:
    """What becomes of a message that cannot be delivered."""
    with pytest.raises(CogentOpsError) as caught:
        deliver(channel)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


# Webhooks


def test_a_webhook_gets_the_text_at_its_secret_address(post: Webhooks) -> None:
    deliver(WEBHOOK)
    (got,) = post.posts
    assert (got.path, got.body) == (SECRET, {"text": "[CRITICAL] Late: 1\n\n- one\n- two"})
    assert got.headers["Content-Type"] == "application/json"


def test_the_whole_address_may_stand_in_the_host(hooks: Webhooks, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(monkeypatch, "cogent_ops_alerts", conn_type="http", host=hooks.url + SECRET)
    deliver(WEBHOOK)
    assert hooks.posts[0].path == SECRET


def test_login_and_extra_of_the_connection_are_used(hooks: Webhooks, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(
        monkeypatch,
        "cogent_ops_alerts",
        conn_type="http",
        host=f"{hooks.url}/hook",
        login="ada",
        password="pw",
        extra={"X-Team": "ops"},
    )
    deliver(WEBHOOK)
    (got,) = hooks.posts
    assert got.path == "/hook"
    assert got.headers["Authorization"].startswith("Basic ")
    assert got.headers["X-Team"] == "ops"


def test_slack_gets_no_markup_that_a_record_brings(post: Webhooks) -> None:
    deliver(SLACK, "Late: 1", "<!channel> & <http://evil.test|click>")
    assert post.texts == ["*Late: 1*\n&lt;!channel&gt; &amp; &lt;http://evil.test|click&gt;"]


@pytest.mark.parametrize(
    ("answer", "kind", "retry_after", "says"),
    [
        ((429, "rate_limited", {"Retry-After": "30"}), RetryableError, 30, "answered 429 (rate_limited)"),
        ((503, "Sorry! We are down", {}), RetryableError, None, "answered 503"),
        ((404, "no_service", {}), PermanentError, None, "answered 404 (no_service)"),
        ((400, f"cannot read {SECRET}", {}), PermanentError, None, "answered 400"),
        ((302, "", {"Location": "http://127.0.0.1:1/elsewhere"}), PermanentError, None, "answered 302"),
    ],
)
def test_an_answer_decides_whether_trying_again_can_help(
    post: Webhooks, answer: Any, kind: type[CogentOpsError], retry_after: float | None, says: str
) -> None:
    post.answers.append(answer)
    error = failure(WEBHOOK)
    assert isinstance(error, kind)
    assert getattr(error, "retry_after", None) == retry_after
    assert str(error) == f"connection 'cogent_ops_alerts': {says}"
    assert len(post.posts) == 1


def test_a_server_that_is_not_there_or_says_nothing_is_tried_again(
    hooks: Webhooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogent_ops.channels.TIMEOUT", (0.5, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connect(
            monkeypatch,
            "cogent_ops_alerts",
            conn_type="http",
            host=f"http://127.0.0.1:{silent.getsockname()[1]}",
            password=SECRET,
        )
        assert isinstance(failure(WEBHOOK), RetryableError)
    error = failure(WEBHOOK)
    assert isinstance(error, RetryableError)
    assert str(error) == "connection 'cogent_ops_alerts': ConnectionError"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        (None, "conn_id"),
        ({"conn_type": "http", "host": "http://[broken"}, "host"),
        ({"conn_type": "http", "host": "gopher://old.test"}, "host"),
    ],
)
def test_a_connection_that_cannot_work_needs_a_person(
    monkeypatch: pytest.MonkeyPatch, fields: Mapping[str, str] | None, field: str
) -> None:
    if fields:
        connect(monkeypatch, "cogent_ops_alerts", **fields)
    error = failure(WEBHOOK)
    assert isinstance(error, PermanentError)
    assert f"field '{field}'" in str(error)


def test_no_log_and_no_error_shows_the_address(
    post: Webhooks, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from airflow.sdk._shared.secrets_masker import redact

    caplog.set_level(logging.DEBUG)
    said = []
    for status in (500, 404, 200):
        post.answers.append((status, SECRET, {}))
        try:
            deliver(WEBHOOK)
        except CogentOpsError as error:
            said.append(str(error))
    connect(monkeypatch, "cogent_ops_alerts", conn_type="http", host=f"http://127.0.0.1:1{SECRET}")
    said.append(str(failure(WEBHOOK)))
    logged = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert not [text for text in said + logged if SECRET.rpartition("/")[2] in text]
    # Whatever else may log it, Airflow blots it out.
    assert SECRET not in str(redact(f"POST {SECRET} HTTP/1.1"))


# E-mail


def test_an_email_reaches_all_its_readers(mails: Mailbox) -> None:
    deliver(MAIL, "[CRITICAL] £84.00", "- <b>one</b>\nOpen: https://airflow.test/x?y=1")
    (mail,) = mails.mails
    assert (mail.sender, mail.recipients) == ("ops@example.com", list(MAIL.to))
    assert mails.logins == ["\0ops\0s3cret-word"]
    assert "- &lt;b&gt;one&lt;/b&gt;<br>" in mail.text
    assert '<a href="https://airflow.test/x?y=1">' in mail.text


@pytest.mark.parametrize(
    ("verb", "answer", "kind"),
    [
        ("AUTH", "535 wrong password for ada@example.com", PermanentError),
        ("AUTH", "454 try later", RetryableError),
        ("RCPT", "550 no such user finance@example.com", PermanentError),
        ("RCPT", "451 greylisted", RetryableError),
        ("MAIL", "553 who are you", PermanentError),
        ("DATA", "452 mailbox full", RetryableError),
    ],
)
def test_what_the_mail_server_says_decides(
    mails: Mailbox, caplog: pytest.LogCaptureFixture, verb: str, answer: str, kind: type[CogentOpsError]
) -> None:
    mails.answers[verb] = answer
    error = failure(MAIL)
    assert isinstance(error, kind)
    assert answer.partition(" ")[0] in str(error)
    assert "@" not in str(error) + caplog.text
    assert mails.mails == []


def test_no_mail_server_and_no_sender(mails: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    connect_mail(monkeypatch, mails, from_email="")
    assert "from_email" in str(failure(MAIL))
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    connect_mail(monkeypatch, Mailbox(port=port))
    assert isinstance(failure(MAIL), RetryableError)


# The DAG


def raise_(store: Store, kind: Kind = Kind.OVERSELL, cause: str = "a") -> None:
    new = NewException(
        kind, cause, "SKU-1", "sku", "rule", "sold more than there is", "Count.", Owner.RETAIL_OPS
    )
    with store.begin() as conn:
        store.exceptions.raise_(conn, LINK, new, "run")


def run(dag_id: str) -> Any:
    """Run a DAG; the check of sync_health, which needs both APIs, is left out."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(ROOT / "dags")).dags[dag_id].test(mark_success_pattern="check")


@pytest.fixture
def wide_awake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The business's files, in which everything may disturb people at any hour."""
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include)
    loud = {"severity_out_of_hours": "critical", "batch_minutes": 0}
    (include / "exceptions.yaml").write_text(
        json.dumps({"kinds": dict.fromkeys(Kind, loud)}), encoding="utf-8"
    )
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(include))
    return include / "exceptions.yaml"


def test_the_dag_tells_once_and_the_address_stays_where_it_belongs(
    own_store: Store, post: Webhooks, wide_awake: Path, tmp_path: Path
) -> None:
    from airflow.configuration import conf

    raise_(own_store)
    assert run("sync_health").state == "success"
    (text,) = post.texts
    assert "SKU-1: sold more than there is" in text
    assert run("sync_health").state == "success"
    assert len(post.posts) == 1
    places = {
        "store": f"sqlite:///{tmp_path / 'store.db'}",
        "airflow": conf.get("database", "sql_alchemy_conn"),
    }
    report = scan(
        {"address": SECRET}, folders=[Path(conf.get("logging", "base_log_folder"))], databases=places
    )
    assert report.leaks == set()
    assert report.rows > 50


def test_the_dag_goes_on_without_a_connection_and_says_so(own_store: Store, wide_awake: Path) -> None:
    raise_(own_store)
    assert run("sync_health").state == "success"
    (undelivered,) = own_store.exceptions.open(LINK, Kind.ALERT_UNDELIVERED)
    assert "airflow connections add cogent_ops_alerts" in undelivered.message


def test_a_typing_error_in_the_policies_stops_no_message_and_is_told_itself(
    own_store: Store, post: Webhooks, wide_awake: Path
) -> None:
    raise_(own_store)
    good = wide_awake.read_text(encoding="utf-8")
    wide_awake.write_text("chanels: {}\n", encoding="utf-8")
    assert run("sync_health").state == "failed"
    (failed,) = own_store.exceptions.open(LINK, Kind.TASK_FAILED)
    assert failed.record == "sync_health.alert"
    assert "chanels" in failed.message
    own_store.close()

    wide_awake.write_text(good, encoding="utf-8")
    assert run("sync_health").state == "success"
    assert own_store.exceptions.open(LINK, Kind.TASK_FAILED) == []
    assert [text for text in post.texts if "SKU-1" in text]


# What Airflow reports


def late(flow: str = "stock_deltas", **dag_run: Any) -> None:
    from cogent_ops.notifiers import deadline_missed

    context = {"dag_run": {"dag_id": flow, "dag_run_id": "scheduled__1", "run_type": "scheduled", **dag_run}}
    asyncio.run(deadline_missed(LINK, flow, 20, context))


def test_a_missed_deadline_is_an_exception_and_is_told_at_once(
    own_store: Store, post: Webhooks, wide_awake: Path
) -> None:
    late()
    late()
    (missed,) = own_store.exceptions.open(LINK, Kind.DEADLINE_MISSED)
    assert missed.record == "scheduled__1"
    assert missed.alerted_at is not None
    assert len([text for text in post.texts if "has not finished 20 minutes" in text]) == 1


def test_a_late_backfill_alarms_nobody(own_store: Store, post: Webhooks) -> None:
    late(run_type="backfill")
    assert own_store.exceptions.open(LINK) == []
    assert post.posts == []


def test_a_missed_deadline_is_told_even_without_a_store(
    post: Webhooks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    connect(monkeypatch, "cogent_ops_store", conn_type="sqlite", host=str(tmp_path / "none" / "store.db"))
    late()
    (text,) = post.texts
    assert "has not finished 20 minutes" in text
    assert "queue of exceptions is out of order" in text


def test_what_failed_for_good_is_an_exception_until_it_succeeds(
    own_store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late("retention")
    include = tmp_path / "include"
    shutil.copytree(ROOT / "include", include)
    monkeypatch.setenv("COGENT_OPS_INCLUDE", str(include))
    mapping = (include / "mapping.yaml").read_text(encoding="utf-8")
    (include / "mapping.yaml").write_text(mapping + "\nnonsense: 1\n", encoding="utf-8")
    assert run("retention").state == "failed"
    (failed,) = own_store.exceptions.open(LINK, Kind.TASK_FAILED)
    assert (failed.record, failed.owner) == ("retention.purge", Owner.PLATFORM)
    assert "ConfigError" in failed.message
    assert "nonsense" in failed.message
    assert own_store.exceptions.open(LINK, Kind.DEADLINE_MISSED)

    (include / "mapping.yaml").write_text(mapping, encoding="utf-8")
    assert run("retention").state == "success"
    assert own_store.exceptions.open(LINK, Kind.TASK_FAILED) == []
    assert own_store.exceptions.open(LINK, Kind.DEADLINE_MISSED) == []


def test_an_error_that_may_hold_anything_is_named_but_not_quoted() -> None:
    from cogent_ops.notifiers import failed_task

    run = SimpleNamespace(dag_id="d", run_id="r", run_type="scheduled")
    context: Any = {
        "dag_run": run,
        "ti": SimpleNamespace(task_id="t"),
        "exception": ValueError("ada@example.com"),
    }
    assert failed_task(context).message == "Run r failed. ValueError"
    context["exception"] = None
    assert "from outside" in failed_task(context).message


def test_a_backfill_that_failed_is_closed_by_its_own_success_only() -> None:
    from cogent_ops.notifiers import failed_task

    def cause(run_id: str, run_type: str) -> str:
        run = SimpleNamespace(dag_id="d", run_id=run_id, run_type=run_type)
        context: Any = {"dag_run": run, "ti": SimpleNamespace(task_id="t")}
        return failed_task(context).cause_key

    runs = [("a", "backfill"), ("b", "backfill"), ("c", "scheduled"), ("d", "manual")]
    assert len({cause(*run) for run in runs}) == 3


def test_the_notifier_for_other_dags_posts_one_line(post: Webhooks) -> None:
    from cogent_ops.notifiers import AlertNotifier

    AlertNotifier(text="hello").notify({})
    asyncio.run(AlertNotifier(text="again").async_notify({}))
    assert post.texts == ["cogent_ops\n\nhello", "cogent_ops\n\nagain"]


def test_the_trigger_wakes_when_an_exception_is_opened(own_store: Store) -> None:
    from cogent_ops.triggers import ExceptionWatchTrigger

    trigger = ExceptionWatchTrigger(LINK, 0.01)
    path, kwargs = trigger.serialize()
    assert (path, kwargs) == ("cogent_ops.triggers.ExceptionWatchTrigger", {"link": LINK, "seconds": 0.01})

    async def woken() -> Any:
        events = trigger.run()
        waiting = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        await asyncio.to_thread(raise_, own_store)
        return await asyncio.wait_for(waiting, timedelta(seconds=20).total_seconds())

    assert asyncio.run(woken()).payload == {"link": LINK}


def test_a_watch_is_made_anew_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    from cogent_ops import triggers

    made: list[int] = []

    class Counting(triggers.WatchTrigger):
        def watch(self) -> Callable[[datetime], bool]:
            number = len(made)
            made.append(number)
            return lambda _: number == 2

    monkeypatch.setattr(triggers, "RENEW_SECONDS", 0.05)

    async def woken() -> Any:
        return await asyncio.wait_for(anext(Counting(LINK, 0.01).run()), 20)

    assert asyncio.run(woken()).payload == {"link": LINK}
    assert made == [0, 1, 2]
