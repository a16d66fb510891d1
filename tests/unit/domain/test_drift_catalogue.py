"""What kiosks show against what they should: every difference has its cause or what explains it."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from cogent_ops.domain.drift.catalogue import (
    HELD,
    NIGHTLY,
    REFUSED,
    REMOVALS,
    RETIRED,
    YOUNG,
    Aspect,
    CatalogueMoment,
    GroupSuspect,
    Known,
    Mismatch,
    Suspect,
    differences,
    findings,
    group_finding,
    judge,
    judge_group,
)
from cogent_ops.domain.drift.model import TITLES, Cause
from cogent_ops.domain.drift.shelf import ProductView, Shelf, VariantView, shown_view, wanted_view
from cogent_ops.domain.identifiers import group_gid, product_gid, variant_gid
from cogent_ops.domain.kiosk import KioskImage, KioskProduct, KioskVariant

NOW = datetime(2026, 11, 24, 4, tzinfo=UTC)
LONG_AGO, RECORDED = NOW - timedelta(days=9), NOW - timedelta(days=5)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MOMENT = CatalogueMoment(
    now=NOW, lag=MINUTE, late=HOUR, last_full=NOW - timedelta(hours=2), removals_held=False
)
PRODUCT, GROUPS = product_gid("p"), (group_gid("a"), group_gid("b"))
KEPT = TypeAdapter(Suspect)
SAID = {"link": "default", "night": "2026-11-24", "currency": "EUR"}


def variant(sku: str = "cap-1", **fields: Any) -> VariantView:
    given = {"gid": variant_gid(sku), "sku": sku, "title": "Cap", "barcode": "", "current": 995}
    return VariantView(
        **{**given, "original": 1250, "images": ("https://i/1",), "is_on_sale": True, **fields}
    )


def product(*variants: VariantView, **fields: Any) -> ProductView:
    return ProductView(
        **{"gid": PRODUCT, "title": "Cap", "groups": GROUPS, "variants": variants or (variant(),), **fields}
    )


def aged(view: ProductView, at: datetime = RECORDED) -> ProductView:
    """As Cloudshelf shows it: with times."""
    return replace(view, changed_at=at, variants=tuple(replace(one, changed_at=at) for one in view.variants))


def suspect(wanted: ProductView | None, shown: ProductView | None, **fields: Any) -> Suspect:
    """A product that was sent five days ago as it should be, and has not changed since."""
    records = (PRODUCT, *(one.gid for one in (wanted.variants if wanted else ())))
    skus = tuple(one.sku for one in (wanted.variants if wanted else (variant(),)))
    given: dict[str, Any] = {
        "gid": PRODUCT,
        "name": "cap",
        "is_published": wanted is not None,
        "held_skus": (),
        "known": Known("pushed", True, skus, GROUPS, RECORDED),
        "told": records,
        "confirmed": records,
        "refused": (),
        "changed_at": LONG_AGO,
        "nightly_at": LONG_AGO,
        "was_listed": True,
    }
    return Suspect(wanted=wanted, shown=shown, **{**given, **fields})


def causes(one: Suspect, moment: CatalogueMoment = MOMENT) -> list[tuple[Aspect, Cause | str]]:
    return [(each.aspect, each.cause or each.why) for each in judge(one, moment, "EUR")]


EDITED = NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("shown", "aspect"),
    [
        (product(title="Hat"), Aspect.TITLE),
        (product(groups=GROUPS[:1]), Aspect.CATEGORY),
        (product(variant(title="Blue")), Aspect.TITLE),
        (product(variant(current=895)), Aspect.PRICE),
        (product(variant(original=995)), Aspect.PRICE),
        (product(variant(images=())), Aspect.IMAGE),
    ],
)
def test_content_that_differs_was_lost_edited_or_is_late(shown: ProductView, aspect: Aspect) -> None:
    wanted = product()
    assert causes(suspect(wanted, aged(shown))) == [(aspect, Cause.LOST)]
    assert causes(suspect(wanted, aged(shown, EDITED))) == [(aspect, Cause.MANUAL_EDIT)]
    assert causes(suspect(wanted, aged(shown, NOW - MINUTE / 2))) == [(aspect, YOUNG)]
    untold = {"told": (), "known": Known("pushed", True, ("cap-1",), (), RECORDED)}
    assert causes(suspect(wanted, aged(shown), **untold)) == [(aspect, Cause.LATE)]
    assert causes(suspect(wanted, aged(shown), **untold, changed_at=NOW - HOUR / 2)) == [(aspect, YOUNG)]
    assert causes(suspect(wanted, aged(shown), **untold, nightly_at=NOW - HOUR)) == [(aspect, NIGHTLY)]
    assert causes(suspect(wanted, aged(shown), refused=(PRODUCT,))) == [(aspect, REFUSED)]


def test_another_identifier_is_a_wrong_one() -> None:
    for shown in (variant(barcode="4006381333931"), replace(variant(), sku="CAP-1")):
        assert causes(suspect(product(), aged(product(shown)))) == [
            (Aspect.IDENTIFIER, Cause.WRONG_IDENTIFIER)
        ]


NOBODY = {"known": None, "told": (), "confirmed": ()}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, Cause.LOST),
        ({"refused": (PRODUCT,)}, REFUSED),
        (NOBODY, Cause.LATE),
        ({**NOBODY, "changed_at": NOW - HOUR / 2}, YOUNG),
        ({"confirmed": ()}, Cause.LATE),
        ({"known": Known("pushed", True, ("cap-1",), GROUPS, NOW - MINUTE / 2)}, YOUNG),
        ({"known": Known("held", False, (), (), RECORDED), "confirmed": ()}, Cause.LATE),
    ],
)
def test_a_product_that_is_not_there(fields: dict[str, Any], why: Cause | str) -> None:
    assert causes(suspect(product(), None, **fields)) == [(Aspect.PRODUCT, why)]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"is_published": True}, HELD),
        ({"is_published": True, "known": None}, Cause.UNEXPLAINED),
        ({}, NIGHTLY),
        ({"was_listed": False}, Cause.LATE),
        ({"known": None}, Cause.LOST),
        ({"gid": "gid://external/ShopifyProduct/1", "known": None}, Cause.EXTRA),
        ({"gid": "gid://cloudshelf/Product/1", "known": None}, Cause.EXTRA),
    ],
)
def test_a_product_that_should_not_be_there(fields: dict[str, Any], why: Cause | str) -> None:
    assert causes(suspect(None, aged(product()), **fields)) == [(Aspect.PRODUCT, why)]


def test_a_removal_waits_for_a_person_or_for_a_full_pass_that_is_not_overdue() -> None:
    gone = suspect(None, aged(product()))
    assert causes(gone, replace(MOMENT, removals_held=True)) == [(Aspect.PRODUCT, REMOVALS)]
    # A full pass has seen that it is gone, and has not come to the end.
    under_way = replace(MOMENT, is_removing=True)
    assert causes(replace(gone, was_listed=False), under_way) == [(Aspect.PRODUCT, NIGHTLY)]
    days_ago = replace(under_way, last_full=NOW - timedelta(days=3))
    assert causes(replace(gone, was_listed=False), days_ago) == [(Aspect.PRODUCT, Cause.LATE)]
    assert causes(gone, replace(MOMENT, last_full=NOW - timedelta(hours=37))) == [
        (Aspect.PRODUCT, Cause.LATE)
    ]
    assert causes(gone, replace(MOMENT, last_full=None)) == [(Aspect.PRODUCT, Cause.LATE)]


def test_a_variant_that_is_not_there() -> None:
    wanted, shown = product(variant(), variant("cap-2")), aged(product())
    assert causes(suspect(wanted, shown)) == [(Aspect.VARIANT, Cause.LOST)]
    without = Known("partial", True, ("cap-1",), GROUPS, RECORDED)
    assert causes(suspect(wanted, shown, known=without)) == [(Aspect.VARIANT, Cause.LATE)]
    assert causes(suspect(wanted, shown, known=without, changed_at=NOW)) == [(Aspect.VARIANT, YOUNG)]


@pytest.mark.parametrize(
    ("extra", "fields", "why"),
    [
        (variant("cap-2"), {}, Cause.LOST),
        (variant("cap-2", changed_at=EDITED), {}, Cause.MANUAL_EDIT),
        (variant("cap-2", changed_at=NOW), {}, YOUNG),
        (variant("cap-2", is_on_sale=False), {}, RETIRED),
        (variant("cap-2"), {"held_skus": ("cap-2",)}, HELD),
        (
            variant("cap-2"),
            {"known": Known("pushed", True, ("cap-1", "cap-2"), GROUPS, RECORDED)},
            Cause.LATE,
        ),
        (variant("cap-1", gid="gid://external/ShopifyVariant/1"), {}, Cause.WRONG_IDENTIFIER),
        (variant("x", gid="gid://external/ShopifyVariant/1"), {}, Cause.EXTRA),
        (variant("x", gid="gid://cloudshelf/ProductVariant/1", is_on_sale=False), {}, RETIRED),
    ],
)
def test_a_variant_that_should_not_be_there(
    extra: VariantView, fields: dict[str, Any], why: Cause | str
) -> None:
    dated = extra if extra.changed_at else replace(extra, changed_at=RECORDED)
    shown = aged(product())
    shown = replace(shown, variants=(*shown.variants, dated))
    assert causes(suspect(product(), shown, **fields)) == [(Aspect.VARIANT, why)]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, Cause.MANUAL_EDIT),
        ({"is_told": False}, Cause.LATE),
        ({"is_refused": True}, REFUSED),
        ({"shown_at": NOW}, YOUNG),
        ({"is_told": False, "changed_at": NOW - HOUR / 2}, YOUNG),
        ({"wanted": None}, Cause.LATE),
    ],
)
def test_a_group(fields: dict[str, Any], why: Cause | str) -> None:
    given: dict[str, Any] = {"wanted": "Hats", "is_told": True, "is_refused": False, "changed_at": LONG_AGO}
    one = GroupSuspect(**{"gid": GROUPS[0], "shown": "By hand", "shown_at": RECORDED, **given, **fields})
    judged = judge_group(one, MOMENT)
    assert (judged.cause or judged.why) == why
    assert (group_finding(judged, **SAID) is None) == (judged.cause is None)


def test_findings_say_what_how_much_and_what_to_do() -> None:
    many = [variant(f"cap-{n}") for n in range(30)]
    dearer = [replace(one, current=1095, changed_at=EDITED) for one in many]
    one = suspect(product(*many), replace(aged(product()), variants=tuple(dearer)))
    (found,) = findings(one, judge(one, MOMENT, "EUR"), **SAID)
    assert (found.subject, found.cause, found.units) == ("cap · price", Cause.MANUAL_EDIT, 30)
    assert (found.amount, found.currency, found.owner, found.heal) == (3000, "EUR", "finance", None)
    assert found.message.startswith(
        "cap (cap-0), price: should be €9.95 instead of €12.50, is €10.95 instead of €12.50."
    )
    assert "29 more of its variants alike" in found.message
    assert len([fact for fact in found.evidence if fact.what.startswith("cap-")]) == 20
    assert "resend = true" in found.action
    assert any(fact.at == RECORDED for fact in found.evidence)


def test_every_cause_has_words() -> None:
    assert set(TITLES) == set(Cause)


# Views


def test_what_is_sent_and_read_back_is_the_same_view() -> None:
    sent = KioskVariant(
        id=variant_gid("cap-1"),
        sku="cap-1",
        position=1,
        display_name="Cap ",
        current_price="9.95",
        original_price="12.50",
        is_in_stock=False,
        available_to_purchase=True,
        images=(KioskImage(url="https://i/2", preferred=True), KioskImage(url="https://i/1")),
    )
    owner = KioskProduct(id=PRODUCT, display_name="Cap", handle="cap")
    read = {
        "id": "gid://cloudshelf/ProductVariant/1",
        "platformProvidedId": sent.id,
        "sku": "cap-1",
        "displayName": "Cap",
        "barcode": "",
        "currentPrice": 9.950000000000001,
        "originalPrice": 12.5,
        "isInStock": False,
        "availableToPurchase": True,
        "updatedAt": RECORDED.isoformat(),
        "metaimages": [{"originalUrl": "https://i/1"}, {"originalUrl": "https://i/2"}],
    }
    node = {
        "id": "gid://cloudshelf/Product/1",
        "platformProvidedId": PRODUCT,
        "displayName": "Cap",
        "updatedAt": RECORDED.isoformat(),
        "productGroups": [{"platformProvidedId": one} for one in (None, "gid://external/Other/1", GROUPS[0])],
        "productVariants": [read],
    }
    wanted = wanted_view(owner.to_input(), [sent.to_input()], [GROUPS[0], GROUPS[0]], "EUR")
    shown = shown_view(node, "EUR")
    assert list(differences(suspect(wanted, shown), "EUR")) == []
    shelf = Shelf()
    shelf.put(shown)
    assert shelf.take(wanted)


TEXTS = st.sampled_from(["", "a", "b"])
VARIANTS = st.builds(
    variant,
    sku=st.sampled_from(["s1", "s2", "s3"]),
    title=TEXTS,
    current=st.integers(0, 2),
    images=st.sampled_from([(), ("https://i/1",)]),
    is_on_sale=st.booleans(),
)
PRODUCTS = st.builds(
    lambda title, groups, variants: product(title=title, groups=groups, variants=tuple(variants)),
    title=TEXTS,
    groups=st.sampled_from([(), GROUPS[:1], GROUPS]),
    variants=st.lists(VARIANTS, max_size=3, unique_by=lambda one: one.gid),
)
TIMES = st.sampled_from([LONG_AGO, RECORDED, EDITED, NOW - HOUR / 2, NOW])
KNOWN = st.none() | st.builds(
    Known,
    status=st.sampled_from(["pushed", "partial", "held"]),
    on_kiosk=st.booleans(),
    skus=st.lists(st.sampled_from(["s1", "s2", "s3"]), unique=True).map(tuple),
    groups=st.sampled_from([(), GROUPS]),
    recorded_at=TIMES,
)
RECORDS = st.lists(st.sampled_from([PRODUCT, variant_gid("s1"), variant_gid("s2")]), unique=True).map(tuple)
SUSPECTS = st.builds(
    suspect,
    st.none() | PRODUCTS,
    st.none() | st.builds(aged, PRODUCTS, TIMES),
    known=KNOWN,
    told=RECORDS,
    confirmed=RECORDS,
    refused=RECORDS,
    held_skus=st.lists(st.sampled_from(["s1", "s2"]), unique=True).map(tuple),
    changed_at=st.none() | TIMES,
    nightly_at=st.none() | TIMES,
    was_listed=st.booleans(),
)


@given(PRODUCTS, PRODUCTS)
def test_the_shelf_tells_equal_products_from_others(wanted: ProductView, shown: ProductView) -> None:
    shelf = Shelf()
    shelf.put(shown)
    left = [one for one in differences(suspect(wanted, shown), "EUR") if not _is_off_sale(one, shown)]
    assert shelf.take(wanted) == (left == [])
    assert shelf.rest() == []
    assert not shelf.take(wanted), "it is taken once"


def _is_off_sale(one: Mismatch, shown: ProductView) -> bool:
    """Whether the difference is that a variant is shown besides which nobody can buy."""
    is_besides = one.aspect is Aspect.VARIANT and one.shown == "there"
    return is_besides and any(each.gid == one.gid and not each.is_on_sale for each in shown.variants)


@given(SUSPECTS)
def test_every_difference_has_a_cause_or_an_explanation_and_survives_the_archive(one: Suspect) -> None:
    kept = KEPT.validate_json(KEPT.dump_json(one))
    assert kept == one
    judged = judge(one, MOMENT, "EUR")
    assert judged == judge(kept, MOMENT, "EUR")
    assert len(judged) == len(list(differences(one, "EUR")))
    explained = {HELD, REFUSED, YOUNG, NIGHTLY, REMOVALS, RETIRED}
    assert all(each.cause is not None or each.why in explained for each in judged)
    found = findings(one, judged, **SAID)
    assert len({(each.subject, each.cause) for each in found}) == len(found)
    assert sum(each.units for each in found) == sum(each.cause is not None for each in judged)


@given(SUSPECTS)
def test_nothing_is_found_of_what_is_equal_young_or_refused(one: Suspect) -> None:
    shown = None if one.wanted is None else aged(one.wanted)
    assert judge(replace(one, shown=shown), MOMENT, "EUR") == []
    everything = (PRODUCT, *(variant_gid(sku) for sku in ("s1", "s2", "s3")))
    assert all(each.cause is None for each in judge(replace(one, refused=everything), MOMENT, "EUR"))


def test_what_kiosks_show_of_a_million_variants_takes_40_mb() -> None:
    products, each = 5_000, 10
    tracemalloc.start()
    try:
        shelf = Shelf()
        for number in range(products):
            variants = tuple(variant(f"{number}-{one}") for one in range(each))
            shelf.put(ProductView(product_gid(str(UUID(int=number))), "Cap", GROUPS, variants))
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size * 1_000_000 / (products * each) < 40_000_000
