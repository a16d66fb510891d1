"""The Cloudshelf client against the sandbox: every record accounted for, whatever goes wrong."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.clients.helpers import QUICK, Counting, Reply, Seen, kiosk, scripted

from cogent_ops.clients.cloudshelf import (
    CloudshelfClient,
    Counts,
    OrderReport,
    Organisation,
    Patience,
    RecordFailure,
    Status,
)
from cogent_ops.domain.identifiers import group_gid, location_gid, product_gid, variant_gid
from cogent_ops.domain.kiosk import KioskLocation
from cogent_ops.domain.rules import OrderStatus
from cogent_ops.errors import (
    ApiRejected,
    ConnectionConfigError,
    RateLimited,
    RetryableError,
    TargetUnavailable,
)
from cogent_ops.sandbox.cloudshelf_state import ALL_PERMISSIONS, KioskBehaviour
from cogent_ops.sandbox.faults import Credits, FaultPlan, Kind, Rule
from cogent_ops.sandbox.server import SandboxServer

Start = Callable[..., SandboxServer]
Json = dict[str, Any]

LOCATION = KioskLocation(
    id=location_gid("berlin"),
    display_name="Berlin",
    country_code="DE",
    address1="Hauptstr. 1",
    city="Berlin",
    zip="10115",
)


def product(name: str, **more: Any) -> Json:
    return {"id": product_gid(name), "displayName": f"Product {name}", "metadata": [], "tags": []} | more


def variant(sku: str, **more: Any) -> Json:
    return {
        "id": variant_gid(sku),
        "sku": sku,
        "position": 1,
        "displayName": f"Variant {sku}",
        "barcode": None,
        "currentPrice": 9.95,
        "originalPrice": 12.5,
        "isInStock": True,
        "availableToPurchase": True,
        "inventoryPolicy": "DENY",
        "attributes": [{"key": "Size", "value": sku}],
        "metadata": [{"namespace": "cogent", "key": "style", "data": "S"}],
        "metaimages": [{"url": f"https://images.example.com/{sku}.jpg", "preferredImage": True}],
    } | more


def push(client: CloudshelfClient, products: int = 40, variants: int = 5) -> dict[str, set[str]]:
    """Send a small catalogue as the catalogue flow does; returns the ids that failed, by kind."""
    names = [f"p{number}" for number in range(products)]
    entries = [(product_gid(n), [variant(f"{n}-{v}") for v in range(variants)]) for n in names]
    groups = [
        {"id": group_gid(f"g{number}"), "displayName": f"G{number}", "metadata": []} for number in range(12)
    ]
    members = [
        (group["id"], [product_gid(n) for n in names[number::12]]) for number, group in enumerate(groups)
    ]

    def batches(rows: list[Any], size: int) -> list[list[Any]]:
        return [rows[at : at + size] for at in range(0, len(rows), size)]

    failed: dict[str, set[str]] = {}
    with ThreadPoolExecutor(4) as pool:
        for kind, call, rows, size in (
            ("location", client.upsert_locations, [LOCATION], 50),
            ("product", client.upsert_products, [product(n) for n in names], 15),
            ("variant", client.upsert_variants, entries, 6),
            ("group", client.upsert_groups, groups, 5),
            ("membership", client.set_memberships, members, 5),
        ):
            outcomes = list(pool.map(call, batches(rows, size)))
            failed[kind] = {failure.id for outcome in outcomes for failure in outcome.failed}
    client.report_catalogue_stats(products=products, variants=products * variants, groups=12, images=None)
    return failed


# The same end, whatever happens on the way


@pytest.mark.parametrize("seed", [1, 2])
def test_faults_leave_the_same_state_as_no_faults(start: Start, seed: int) -> None:
    calm = start()
    push(kiosk(calm))
    rules = (
        Rule(kind=Kind.ERROR, api="cloudshelf", rate=0.05, status=503),
        Rule(kind=Kind.ERROR, api="cloudshelf", rate=0.05, status=500, when="after"),
        Rule(kind=Kind.ERROR, api="cloudshelf", rate=0.05, status=200),
        Rule(kind=Kind.ERROR, api="cloudshelf", rate=0.05, status=200, when="after"),
        Rule(kind=Kind.RESET, api="cloudshelf", rate=0.05),
        Rule(kind=Kind.RESET, api="cloudshelf", rate=0.05, when="after"),
        Rule(kind=Kind.THROTTLE, api="cloudshelf", rate=0.05, retry_after=0),
        Rule(kind=Kind.REFUSE, operation="up*", rate=0.03),
        Rule(kind=Kind.REFUSE, operation="upsert*", rate=0.03, code="TEMPORARY_RESTRICTION"),
    )
    stormy = start(FaultPlan(seed=seed, rules=rules))
    failed = push(kiosk(stormy, patience=Patience(tries=8)))
    assert failed == {kind: set() for kind in failed}
    assert stormy.dump("cloudshelf") == calm.dump("cloudshelf")
    assert sum(stormy.counters()["faults"].values()) > 10


def test_records_refused_for_ever_are_named_and_the_rest_arrives(start: Start) -> None:
    rules = (
        Rule(kind=Kind.REFUSE, operation="upsertProducts", ids="*/p7", code="ENTITY_INVALID_FIELD"),
        Rule(kind=Kind.REFUSE, operation="upsertProductVariants", ids="*/p?-3", code="IMAGE_UPLOAD_ERROR"),
        Rule(kind=Kind.REFUSE, operation="upsertProductGroups", ids="*/g1", code="ACTION_DISALLOWED"),
    )
    server = start(FaultPlan(rules=rules))
    failed = push(kiosk(server))
    spoiled = {variant_gid(f"p{number}-3") for number in range(10)}
    assert failed["product"] == {product_gid("p7")}
    assert failed["variant"] == spoiled | {variant_gid(f"p7-{number}") for number in range(5)}
    assert failed["group"] == {group_gid("g1")}
    # A group that is missing cannot get members, nor can one whose member is missing.
    assert failed["membership"] == {group_gid("g1"), group_gid("g7")}
    content = server.dump("cloudshelf")
    assert len(content["products"]) == 39
    assert sum(len(one["variants"]) for one in content["products"].values()) == 40 * 5 - len(
        failed["variant"]
    )


def test_narrowing_down_costs_few_calls(start: Start) -> None:
    rule = Rule(kind=Kind.REFUSE, ids="*/p?3", code="ENTITY_INVALID_FIELD")
    server = start(FaultPlan(rules=(rule,)))
    outcome = kiosk(server).upsert_products([product(f"p{number}") for number in range(100)])
    assert len(outcome.failed) == 9
    assert len(outcome.applied) == 91
    assert server.counters()["requests"]["cloudshelf.upsertProducts"] == 1


def test_one_record_that_spoils_the_whole_request_is_found(sandbox: SandboxServer) -> None:
    spoiled = [product(f"p{number}") for number in range(64)]
    spoiled[41] = product("p41", displayName=17)
    outcome = kiosk(sandbox).upsert_products(spoiled)
    assert [failure.id for failure in outcome.failed] == [product_gid("p41")]
    assert "displayName" in outcome.failed[0].message
    assert len(outcome.applied) == 63
    assert sandbox.counters()["requests"]["cloudshelf.upsertProducts"] == 13


def test_transient_refusals_pass(start: Start) -> None:
    rule = Rule(kind=Kind.REFUSE, operation="upsertProducts", limit=5, code="ALREADY_IN_PROGRESS")
    server = start(FaultPlan(rules=(rule,)))
    assert kiosk(server).upsert_products([product(f"p{number}") for number in range(10)]).failed == ()


def test_nothing_to_send_sends_nothing(sandbox: SandboxServer) -> None:
    client = kiosk(sandbox)
    for outcome in (client.upsert_products([]), client.upsert_variants([]), client.delete_products([])):
        assert not outcome.applied
        assert not outcome.failed
    assert sandbox.counters()["requests"] == {}


# The API itself fails


def test_every_record_failing_while_the_api_works_is_the_records_fault(start: Start) -> None:
    rule = Rule(kind=Kind.ERROR, api="cloudshelf", operation="upsertProducts", status=200)
    server = start(FaultPlan(rules=(rule,)))
    outcome = kiosk(server, patience=Patience(tries=2)).upsert_products([product("a"), product("b")])
    assert {failure.code for failure in outcome.failed} == {"INTERNAL_SERVER_ERROR"}
    assert len(outcome.failed) == 2


def test_an_api_that_is_down_blames_no_record(start: Start) -> None:
    server = start(FaultPlan(rules=(Rule(kind=Kind.ERROR, api="cloudshelf", status=200),)))
    client = kiosk(server, replace(QUICK, attempts=2), patience=Patience(tries=2, calls=5))
    with pytest.raises(TargetUnavailable):
        client.upsert_products([product("a"), product("b")])


# Limits


def test_credits_are_waited_for(start: Start) -> None:
    server = start(FaultPlan(credits=Credits(capacity=20, per_second=100)))
    budget = Counting()
    assert push(kiosk(server, budget=budget), products=20)["product"] == set()
    assert budget.pauses
    assert all(pause is not None for pause in budget.pauses)


def test_credits_that_never_suffice_are_an_error_with_a_time(start: Start) -> None:
    server = start(FaultPlan(credits=Credits(capacity=2, per_second=0.001)))
    with pytest.raises(RateLimited) as caught:
        kiosk(server, replace(QUICK, total_seconds=1)).counts()
    assert (caught.value.retry_after or 0) > 100


def test_pages_shrink_to_what_the_complexity_limit_allows(start: Start) -> None:
    server = start(kiosk=KioskBehaviour(complexity="multiplied", max_complexity=60))
    client = kiosk(server)
    client.upsert_products([product(f"p{number}") for number in range(150)])
    found = [one["platformProvidedId"] for page in client.products() for one in page]
    assert sorted(found) == sorted(product_gid(f"p{number}") for number in range(150))
    before = server.counters()["requests"]["cloudshelf.products"]
    list(client.products())
    refused_once = server.counters()["requests"]["cloudshelf.products"] - before
    assert refused_once < before


def test_a_page_that_cannot_shrink_is_refused(start: Start) -> None:
    server = start(kiosk=KioskBehaviour(max_complexity=3))
    with pytest.raises(ApiRejected, match="complexity"):
        list(kiosk(server).products())


@pytest.mark.parametrize("status", [200, 413])
def test_batches_shrink_to_what_the_api_takes(status: int) -> None:
    sizes: list[int] = []

    def answer(seen: Seen) -> Reply:
        sent = seen.json()["variables"]["input"]
        sizes.append(len(sent))
        if len(sent) > 10:
            return Reply(
                status, {"errors": [{"message": "The query exceeds the maximum complexity of 500."}]}
            )
        nodes = [{"platformProvidedId": one["id"]} for one in sent]
        return Reply(body={"data": {"upsertProducts": {"products": nodes, "userErrors": []}}})

    with scripted(answer) as server:
        client = server.kiosk()
        for _ in range(2):
            outcome = client.upsert_products([product(f"p{number}") for number in range(40)])
            assert len(outcome.applied) == 40
    accepted = [size for size in sizes if size <= 10]
    assert sum(accepted) == 80
    if status == 200:
        assert sizes[-4:] == [10, 10, 10, 10], "the second batch knows"


# What the answers leave open


def upserted(ids: list[str | None], errors: list[Json] | None = None) -> Reply:
    nodes = [{"platformProvidedId": id_} for id_ in ids]
    return Reply(body={"data": {"upsertProducts": {"products": nodes, "userErrors": errors or []}}})


def test_a_record_that_is_silently_left_out_fails() -> None:
    def answer(seen: Seen) -> Reply:
        ids = [one["id"] for one in seen.json()["variables"]["input"]]
        return upserted([id_ for id_ in ids if id_ != product_gid("b")])

    with scripted(answer) as server:
        outcome = server.kiosk().upsert_products([product("a"), product("b"), product("c")])
    assert outcome.applied == (product_gid("a"), product_gid("c"))
    assert [(failure.id, failure.code) for failure in outcome.failed] == [(product_gid("b"), "NOT_CONFIRMED")]


def test_an_error_beside_complete_data_is_traced_to_its_record() -> None:
    def answer(seen: Seen) -> Reply:
        ids = [one["id"] for one in seen.json()["variables"]["input"]]
        error = {"code": "IMAGE_UPLOAD_ERROR", "message": "The image of anna@mail.example.com is broken."}
        return upserted(list(ids), [error] if product_gid("p5") in ids else [])

    with scripted(answer) as server:
        outcome = server.kiosk().upsert_products([product(f"p{number}") for number in range(16)])
    assert outcome.failed == (
        RecordFailure(product_gid("p5"), "IMAGE_UPLOAD_ERROR", "The image of *** is broken.", returned=True),
    )


def test_errors_beside_data_are_not_ignored() -> None:
    """HTTP 200, data, and an error: whichever record it is about must not count as applied."""

    def answer(seen: Seen) -> Reply:
        ids = [one["id"] for one in seen.json()["variables"]["input"]]
        reply = upserted([None if id_ == product_gid("b") else id_ for id_ in ids])
        assert isinstance(reply.body, dict)
        broken = {
            "message": "Cannot resolve platformProvidedId",
            "extensions": {"code": "INTERNAL_SERVER_ERROR"},
        }
        return replace(reply, body={**reply.body, "errors": [broken]}) if product_gid("b") in ids else reply

    with scripted(answer) as server:
        outcome = server.kiosk().upsert_products([product("a"), product("b")])
    assert outcome.applied == (product_gid("a"),)
    assert outcome.failed[0].code == "INTERNAL_SERVER_ERROR"


def test_errors_of_a_read_are_not_ignored() -> None:
    body = {"data": {"ingestionStats": None}, "errors": [{"message": "Something is wrong here"}]}
    with (
        scripted(lambda _: Reply(body=body)) as server,
        pytest.raises(ApiRejected, match="Something is wrong here"),
    ):
        server.kiosk().counts()


def test_membership_answers_with_other_ids_are_told_apart_by_place() -> None:
    rows = [{"productGroupId": f"gid://cloudshelf/ProductGroup/{n}", "success": n != 1} for n in range(3)]

    def answer(seen: Seen) -> Reply:
        sent = seen.json()["variables"]["input"]["productGroupUpdateBatch"]
        found = rows if len(sent) == 3 else rows[1:2]
        return Reply(body={"data": {"updateProductsInProductGroupInBatch": found}})

    with scripted(answer) as server:
        outcome = server.kiosk().set_memberships([(group_gid(str(n)), []) for n in range(3)])
    assert [failure.id for failure in outcome.failed] == [group_gid("1")]


def test_a_list_that_does_not_move_on_ends_with_an_error() -> None:
    page = {"edges": [{"node": {"id": "1"}}], "pageInfo": {"hasNextPage": True, "endCursor": "same"}}
    with scripted(lambda _: Reply(body={"data": {"products": page}})) as server:
        with pytest.raises(ApiRejected, match="not from where it stopped"):
            list(server.kiosk().products())
        assert len(server.seen) == 2


# Groups, variants, deletions, numbers


def test_members_keep_their_order_and_are_replaced(sandbox: SandboxServer) -> None:
    client = kiosk(sandbox)
    client.upsert_products([product(name) for name in "abc"])
    client.upsert_groups([{"id": group_gid("g"), "displayName": "G", "metadata": []}])
    for order in ("cab", "bc", ""):
        assert client.set_memberships([(group_gid("g"), list(map(product_gid, order)))]).failed == ()
        assert sandbox.dump("cloudshelf")["groups"][group_gid("g")]["products"] == list(
            map(product_gid, order)
        )


def test_variants_as_read_can_be_written_back(sandbox: SandboxServer) -> None:
    client = kiosk(sandbox)
    push(client, products=3)
    before = sandbox.dump("cloudshelf")
    found = client.product_variants(product_gid("p1"))
    assert found == [variant(f"p1-{number}") for number in range(5)]
    assert client.upsert_variants([(product_gid("p1"), found)]).failed == ()
    assert sandbox.dump("cloudshelf") == before
    assert client.product_variants(product_gid("unknown")) == []


def test_a_variant_without_an_external_id_is_addressed_by_its_own(sandbox: SandboxServer) -> None:
    client = kiosk(sandbox)
    client.upsert_products([product("p")])
    with sandbox.state.cloudshelf.lock:
        by_hand = {**variant("x"), "id": None}
        sandbox.state.cloudshelf.upsert_variants(
            "byHand", [{"productId": product_gid("p"), "variants": [by_hand]}]
        )
    found = client.product_variants(product_gid("p"))
    assert found[0]["id"].startswith("gid://cloudshelf/ProductVariant/")
    off = [{**found[0], "isInStock": False}]
    assert client.upsert_variants([(product_gid("p"), off)]).applied == (found[0]["id"],)
    assert client.product_variants(product_gid("p"))[0]["isInStock"] is False


def test_what_is_gone_already_counts_as_deleted(sandbox: SandboxServer) -> None:
    client = kiosk(sandbox)
    push(client, products=6)
    wanted = [product_gid(name) for name in ("p0", "never", "p1", "neither")]
    assert client.delete_products(wanted).applied == tuple(wanted)
    assert client.delete_products(wanted).applied == tuple(wanted)
    assert client.delete_groups([group_gid("g0"), group_gid("never")]).failed == ()
    assert len(sandbox.dump("cloudshelf")["products"]) == 4
    assert sandbox.counters()["requests"]["cloudshelf.deleteProducts"] == 2


def test_what_may_not_be_deleted_fails_and_the_rest_goes(sandbox: SandboxServer) -> None:
    client = kiosk(sandbox)
    push(client, products=6)
    groups = sandbox.state.cloudshelf.entities["ProductGroup"].values()
    everything = next(group["id"] for group in groups if group["isAllProductGroup"])
    wanted = [group_gid("g0"), everything, group_gid("never"), group_gid("g1")]
    outcome = client.delete_groups(wanted)
    assert [(failure.id, failure.code) for failure in outcome.failed] == [(everything, "ACTION_DISALLOWED")]
    assert set(outcome.applied) == {*wanted} - {everything}


@pytest.mark.parametrize("there", [False, True])
def test_a_deletion_without_any_word_is_checked(there: bool) -> None:
    def answer(seen: Seen) -> Reply:
        if seen.json()["operationName"] == "ProductExists":
            return Reply(body={"data": {"found": {"id": "x"} if there else None}})
        return Reply(body={"data": {"deleteProducts": {"products": [], "userErrors": []}}})

    with scripted(answer) as server:
        outcome = server.kiosk().delete_products([product_gid("p")])
    assert len(outcome.failed) == there
    assert len(outcome.applied) == (not there)


def test_deletions_survive_faults(start: Start) -> None:
    server = start()
    client = kiosk(server)
    push(client, products=30)
    rules = (
        Rule(kind=Kind.RESET, operation="deleteProducts", rate=0.3, when="after"),
        Rule(
            kind=Kind.ERROR, api="cloudshelf", operation="deleteProducts", rate=0.3, status=500, when="after"
        ),
    )
    server.set_faults(FaultPlan(seed=4, rules=rules))
    for number in range(0, 30, 3):
        gone = [product_gid(f"p{n}") for n in range(number, number + 3)]
        assert client.delete_products(gone).failed == ()
    assert server.dump("cloudshelf")["products"] == {}


def test_counts_and_statistics(sandbox: SandboxServer, caplog: pytest.LogCaptureFixture) -> None:
    client = kiosk(sandbox)
    push(client, products=4)
    assert client.counts() == Counts(products=4, valid_products=4, variants=20, images=20, groups=12)
    client.report_catalogue_stats(products=4, variants=20, groups=12, images=20)
    reported = sandbox.dump("cloudshelf")["reported"]
    assert reported == {"Products": 4, "Variants": 20, "ProductGroups": 12, "Images": 20}
    client.report_catalogue_stats(products=5, variants=21, groups=12, images=None)
    assert sandbox.dump("cloudshelf")["reported"]["Images"] == 20
    with scripted(lambda _: Reply(body={"data": {"reportCatalogStats": False}})) as server:
        server.kiosk().report_catalogue_stats(products=1, variants=1, groups=1, images=None)
    assert "did not take the catalogue's numbers" in caplog.text


# Locations


@pytest.mark.parametrize("form", ["structured", "address"])
def test_the_address_goes_in_the_form_that_the_api_takes(start: Start, form: Any) -> None:
    server = start(kiosk=KioskBehaviour(location_form=form))
    client = kiosk(server)
    assert client.location_form() == form
    assert client.upsert_locations([LOCATION]).failed == ()
    client.upsert_locations([LOCATION])
    stored = server.dump("cloudshelf")["locations"][LOCATION.id]
    assert "Hauptstr. 1" in stored["address"]
    assert stored["zip"] == ("10115" if form == "structured" else None)
    assert server.counters()["requests"]["cloudshelf.__type"] == 1


def test_the_form_can_be_forced(sandbox: SandboxServer) -> None:
    client = kiosk(sandbox, location_form="address")
    outcome = client.upsert_locations([LOCATION])
    assert client.location_form() == "address"
    assert [failure.id for failure in outcome.failed] == [LOCATION.id]
    assert "address" in outcome.failed[0].message
    assert "cloudshelf.__type" not in sandbox.counters()["requests"]


def test_an_api_that_hides_its_schema_gets_the_newer_form(caplog: pytest.LogCaptureFixture) -> None:
    body = {"errors": [{"message": "GraphQL introspection is not allowed"}]}
    with scripted(lambda _: Reply(400, body)) as server:
        assert server.kiosk().location_form() == "structured"
    assert "does not describe its schema" in caplog.text


def test_an_unknown_country_fails_alone(sandbox: SandboxServer) -> None:
    other = LOCATION.model_copy(update={"id": location_gid("x"), "country_code": "QQ"})
    outcome = kiosk(sandbox).upsert_locations([LOCATION, other])
    assert outcome.applied == (LOCATION.id,)
    assert [failure.id for failure in outcome.failed] == [other.id]


# What a user is told


def test_status_and_permissions(start: Start) -> None:
    server = start(kiosk=KioskBehaviour(in_maintenance=True))
    client = kiosk(server)
    before = server.dump("cloudshelf")
    assert client.status() == Status("sandbox", in_maintenance=True)
    assert len(client.permissions()) == 5
    assert client.organisation() == Organisation("Sandbox", "EUR", 0)
    assert server.dump("cloudshelf") == before


def test_a_role_that_may_only_read(start: Start) -> None:
    server = start(kiosk=KioskBehaviour(permissions=frozenset({"CATALOGUE:READ"})))
    client = kiosk(server)
    assert client.permissions() == {"CATALOGUE:READ"}
    with pytest.raises(
        ConnectionConfigError, match=r"'cloudshelf_default', field 'password \(API key\)'.*role"
    ) as e:
        client.upsert_products([product("a")])
    assert "READ and MODIFY for CATALOGUE" in str(e.value)


def test_an_organisation_that_the_role_may_not_read(start: Start) -> None:
    server = start(kiosk=KioskBehaviour(permissions=ALL_PERMISSIONS - {"MY_ORGANISATION:READ"}))
    with pytest.raises(ConnectionConfigError, match="role"):
        kiosk(server).organisation()


def test_a_role_that_may_not_even_read(start: Start) -> None:
    server = start(kiosk=KioskBehaviour(permissions=ALL_PERMISSIONS - {"CATALOGUE:READ"}))
    with pytest.raises(ConnectionConfigError, match="role"):
        kiosk(server).status()


@pytest.mark.parametrize("refusal", ["http", "graphql"])
@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda client: client.status(), id="read"),
        pytest.param(lambda client: client.upsert_products([product("a"), product("b")]), id="batch"),
        pytest.param(lambda client: client.permissions(), id="permissions"),
    ],
)
def test_a_wrong_key(start: Start, refusal: Any, call: Callable[[CloudshelfClient], object]) -> None:
    server = start(kiosk=KioskBehaviour(refusal=refusal))
    with pytest.raises(ConnectionConfigError) as caught:
        call(kiosk(server, key="a-wrong-key"))
    assert "'cloudshelf_default', field 'password (API key)': the key is not accepted" in str(caught.value)
    assert "a-wrong-key" not in str(caught.value)
    assert sum(server.counters()["requests"].values()) == 1


@pytest.mark.parametrize("status", [408, 499, 502, 503, 504])
def test_whoever_gave_up_waiting_is_asked_again(status: int) -> None:
    page = Reply(status, b"<html>Gave up</html>")
    replies = iter([page, Reply(body={"data": {"reportCatalogStats": True}})])
    with scripted(lambda _: next(replies)) as server:
        server.kiosk().report_catalogue_stats(products=1, variants=1, groups=1, images=1)
    with scripted(lambda _: page) as server, pytest.raises(TargetUnavailable, match=f"with {status}"):
        server.kiosk().report_catalogue_stats(products=1, variants=1, groups=1, images=1)


@pytest.mark.parametrize(
    ("replies", "under_way"),
    [
        ([Reply(503), Reply(500)], False),
        ([Reply(503), Reply(504)], True),
        ([Reply(reset=True), Reply(503)], True),
        ([Reply(499), Reply(429)], True),
    ],
)
def test_an_error_says_whether_something_sent_may_still_take_effect(
    replies: list[Reply], under_way: bool
) -> None:
    left = iter(replies)
    tuning = replace(QUICK, attempts=2, total_seconds=0.5)
    with (
        scripted(lambda _: next(left, replies[-1])) as server,
        pytest.raises(RetryableError) as caught,
    ):
        server.kiosk(tuning).report_catalogue_stats(products=1, variants=1, groups=1, images=1)
    assert caught.value.under_way is under_way


@pytest.mark.parametrize("status", [200, 404])
def test_a_web_page_instead_of_the_api(status: int) -> None:
    with (
        scripted(lambda _: Reply(status, b"<html>Welcome</html>")) as server,
        pytest.raises(ConnectionConfigError, match=r"field 'host \(GraphQL URL\)'"),
    ):
        server.kiosk().status()


def test_the_key_goes_as_the_api_wants_it() -> None:
    with scripted(lambda _: Reply(body={"data": {"reportCatalogStats": True}})) as server:
        server.kiosk().report_catalogue_stats(products=1, variants=1, groups=1, images=1)
    assert server.seen[0].headers["authorization"] == "Token sandbox-key"
    assert logging.getLogger("httpx").filters


# Orders


def sell(server: SandboxServer, number: int = 1, **more: Any) -> list[str]:
    """Kiosk orders, whose ids come back in the order in which they were made."""
    given = {"lines": [{"quantity": 1, "price": 5.0}], "status": "PAID", "session": {}, **more}
    made = []
    for _ in range(number):
        made.append(str(server.state.floor.change("kiosk-order", given)["id"]))
        time.sleep(0.002)  # the sandbox's times are milliseconds
    return made


def test_orders_come_with_the_newest_change_first(sandbox: SandboxServer) -> None:
    client = kiosk(sandbox)
    assert client.newest_order_change() is None
    assert list(client.orders()) == []
    ids = sell(sandbox, 7)
    sandbox.state.floor.set_order_status(ids[2], "VOIDED")
    pages = list(client.orders(page_size=3))
    assert [len(page) for page in pages] == [3, 3, 1]
    found = [one for page in pages for one in page]
    assert found[0]["id"] == ids[2]
    assert found[0]["status"] == "VOIDED"
    assert {one["id"] for one in found} == set(ids)
    assert client.order(ids[2]) == found[0]
    assert client.order("gid://cloudshelf/Order/unknown") is None
    newest = client.newest_order_change()
    assert newest is not None
    assert newest.isoformat().replace("+00:00", "")[:19] == found[0]["updatedAt"][:19]


def test_no_order_is_lost_that_keeps_its_place_while_others_change(sandbox: SandboxServer) -> None:
    ids = sell(sandbox, 20)
    seen: list[str] = []
    for number, page in enumerate(kiosk(sandbox).orders(page_size=4)):
        seen += [one["id"] for one in page]
        if number < 3:
            sandbox.state.floor.set_order_status(ids[number], "VOIDED")  # from the far end to the front
    assert set(ids[3:]) <= set(seen)
    assert len(seen) > len(set(seen)), "the others came twice"


def test_pages_of_orders_shrink_to_what_the_complexity_limit_allows(start: Start) -> None:
    server = start(kiosk=KioskBehaviour(complexity="multiplied"))
    ids = sell(server, 40)
    client = kiosk(server)
    assert {one["id"] for page in client.orders(page_size=50) for one in page} == set(ids)
    before = server.counters()["requests"]["cloudshelf.orders"]
    assert max(len(page) for page in client.orders(page_size=50)) > 5
    assert server.counters()["requests"]["cloudshelf.orders"] - before < before


def test_orders_in_another_order_are_an_error() -> None:
    nodes = [{"node": {"updatedAt": f"2026-11-24T10:00:0{second}Z"}} for second in (1, 2)]
    page = {"edges": nodes, "pageInfo": {"hasNextPage": False, "endCursor": "b"}}
    with (
        scripted(lambda _: Reply(body={"data": {"orders": page}})) as server,
        pytest.raises(ApiRejected, match="not sorted by updatedAt"),
    ):
        list(server.kiosk().orders())


def test_what_became_of_orders_is_told_and_nothing_else_of_them_changes(sandbox: SandboxServer) -> None:
    client = kiosk(sandbox)
    ids = sell(sandbox, 3)
    before = {id_: client.order(id_) for id_ in ids}
    reports = [
        OrderReport(ids[0], "ct-0"),
        OrderReport(ids[1], status=OrderStatus.VOIDED),
        OrderReport(ids[2], "ct-2", OrderStatus.REFUNDED),
    ]
    assert client.upsert_orders(reports).failed == ()
    news = [{"thirdPartyId": "ct-0"}, {"status": "VOIDED"}, {"thirdPartyId": "ct-2", "status": "REFUNDED"}]
    for id_, new in zip(ids, news, strict=True):
        now, then = client.order(id_), before[id_]
        assert now is not None
        assert then is not None
        assert now == {**then, **new, "updatedAt": now["updatedAt"]}
    assert client.upsert_orders(reports).failed == (), "telling it again changes nothing"


def test_an_order_that_is_refused_fails_alone(start: Start) -> None:
    server = start()
    ids = sell(server, 20)
    stormy = FaultPlan(
        rules=(Rule(kind=Kind.REFUSE, operation="upsertOrders", ids=ids[7], code="ENTITY_IN_USE"),)
    )
    server.set_faults(stormy)
    outcome = kiosk(server).upsert_orders(OrderReport(id_, f"ct-{id_}") for id_ in ids)
    assert [(one.id, one.code) for one in outcome.failed] == [(ids[7], "ENTITY_IN_USE")]
    assert set(outcome.applied) == {*ids} - {ids[7]}


def test_a_lost_answer_is_asked_for_again(start: Start) -> None:
    server = start(FaultPlan(rules=(Rule(kind=Kind.RESET, operation="upsertOrders", when="after", limit=2),)))
    (id_,) = sell(server, 1)
    outcome = kiosk(server).upsert_orders([OrderReport(id_, "ct-1", OrderStatus.VOIDED)])
    assert outcome.applied == (id_,)
    assert server.counters()["requests"]["cloudshelf.upsertOrders"] == 3


@pytest.mark.parametrize(
    "said", [{"status": "PAID", "thirdPartyId": "ct-1"}, {"status": "VOIDED", "thirdPartyId": None}]
)
def test_an_order_that_comes_back_unchanged_was_not_told(said: Json) -> None:
    payload = {"orders": [{"id": "gid://cloudshelf/Order/1", **said}], "userErrors": []}
    with scripted(lambda _: Reply(body={"data": {"upsertOrders": payload}})) as server:
        report = OrderReport("gid://cloudshelf/Order/1", "ct-1", OrderStatus.VOIDED)
        assert [failure.code for failure in server.kiosk().upsert_orders([report]).failed] == [
            "NOT_CONFIRMED"
        ]
