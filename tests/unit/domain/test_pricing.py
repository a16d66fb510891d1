"""Price selection: against the fallback table of commercetools, and its invariants for any set of prices."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogent_ops.domain.commercetools import DiscountedPrice, Money, Price, Reference
from cogent_ops.domain.pricing import PriceScope, amount, amounts

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SCOPE = PriceScope(currency="EUR", country="DE", now=NOW, channel_id="shop", customer_group_id="club")


def price(
    cents: int = 1000,
    currency: str = "EUR",
    country: str | None = None,
    channel: str | None = None,
    group: str | None = None,
    valid_from: datetime | None = None,
    valid_until: datetime | None = None,
) -> Price:
    return Price(
        id=f"{currency}{cents}",
        value=Money(currency_code=currency, cent_amount=cents),
        country=country,
        channel=Reference(type_id="channel", id=channel) if channel else None,
        customer_group=Reference(type_id="customer-group", id=group) if group else None,
        valid_from=valid_from,
        valid_until=valid_until,
    )


#: Fallback order, the most specific first: customer group, Channel and country given or not.
FALLBACK: list[dict[str, Any]] = [
    {"group": "club", "channel": "shop", "country": "DE"},
    {"group": "club", "channel": "shop"},
    {"group": "club", "country": "DE"},
    {"group": "club"},
    {"channel": "shop", "country": "DE"},
    {"channel": "shop"},
    {"country": "DE"},
    {},
]


@pytest.mark.parametrize("level", range(len(FALLBACK)))
def test_the_most_specific_price_wins(level: int) -> None:
    prices = [price(cents, **scope) for cents, scope in enumerate(FALLBACK[level:], start=1)]
    for order in (prices, prices[::-1]):
        chosen = SCOPE.select(order)
        assert chosen is not None
        assert chosen.value.cent_amount == 1


@pytest.mark.parametrize(
    "foreign",
    [
        price(currency="USD"),
        price(country="AT"),
        price(channel="elsewhere"),
        price(group="b2b"),
        price(group="club", channel="elsewhere", country="DE"),
    ],
)
def test_prices_for_others_never_count(foreign: Price) -> None:
    assert SCOPE.select([foreign]) is None


def test_a_link_without_channel_and_group_sees_only_prices_for_everybody() -> None:
    plain = PriceScope(currency="EUR", country="DE", now=NOW)
    assert plain.select([price(channel="shop"), price(group="club")]) is None
    assert plain.select([price(1, channel="shop"), price(2, country="DE")]) == price(2, country="DE")


@pytest.mark.parametrize(
    ("since", "until", "valid"),
    [
        (None, None, True),
        (NOW, None, True),
        (NOW + timedelta(microseconds=1), None, False),
        (None, NOW, False),
        (None, NOW + timedelta(microseconds=1), True),
        (NOW - DAY, NOW + DAY, True),
        (NOW - 2 * DAY, NOW - DAY, False),
        (NOW + DAY, NOW + 2 * DAY, False),
    ],
)
def test_bounds_of_validity(since: datetime | None, until: datetime | None, valid: bool) -> None:
    assert (SCOPE.select([price(valid_from=since, valid_until=until)]) is not None) is valid


def test_of_equal_scope_the_dated_price_wins_and_the_less_specific_dated_one_does_not() -> None:
    dated = price(1, country="DE", valid_from=NOW - DAY, valid_until=NOW + DAY)
    assert SCOPE.select([price(2, country="DE"), dated]) == dated
    assert SCOPE.select([price(2, channel="shop"), dated]) == price(2, channel="shop")


def test_of_two_running_periods_the_one_that_began_last_wins() -> None:
    old, new = price(1, valid_from=NOW - 2 * DAY), price(2, valid_from=NOW - DAY)
    assert SCOPE.select([new, old]) == new


@given(moment=st.timedeltas(timedelta(0), 10 * DAY), length=st.timedeltas(timedelta(seconds=1), DAY))
def test_periods_that_follow_each_other_give_one_price_at_every_moment(
    moment: timedelta, length: timedelta
) -> None:
    periods = [
        price(number + 1, valid_from=NOW + number * length, valid_until=NOW + (number + 1) * length)
        for number in range(int(10 * DAY / length) + 2 if length > timedelta(hours=12) else 2)
    ]
    scope = PriceScope(currency="EUR", country="DE", now=NOW + moment)
    number = moment // length
    chosen = scope.select(periods)
    if number < len(periods):
        assert chosen == periods[number]
    else:
        assert chosen is None


scopes = st.builds(
    price,
    cents=st.integers(1, 10_000),
    currency=st.sampled_from(["EUR", "USD"]),
    country=st.sampled_from([None, "DE", "AT"]),
    channel=st.sampled_from([None, "shop", "elsewhere"]),
    group=st.sampled_from([None, "club", "b2b"]),
    valid_from=st.sampled_from([None, NOW - DAY, NOW, NOW + DAY]),
    valid_until=st.sampled_from([None, NOW - DAY, NOW, NOW + DAY]),
)


def by_the_table(prices: list[Price]) -> list[Price]:
    """An independent reading: walk the fallback order, dated before undated, take all of the first level hit."""
    for level, dated in product(FALLBACK, (True, False)):
        hit = [
            p
            for p in prices
            if p.value.currency_code == "EUR"
            and (p.customer_group.id if p.customer_group else None) == level.get("group")
            and (p.channel.id if p.channel else None) == level.get("channel")
            and p.country == level.get("country")
            and bool(p.valid_from or p.valid_until) is dated
            and not (p.valid_from and p.valid_from > NOW)
            and not (p.valid_until and p.valid_until <= NOW)
        ]
        if hit:
            return hit
    return []


@given(prices=st.lists(scopes, max_size=12), data=st.data())
def test_selection_agrees_with_the_table_in_any_order(prices: list[Price], data: st.DataObject) -> None:
    chosen = SCOPE.select(prices)
    expected = by_the_table(prices)
    assert (chosen in expected) if expected else chosen is None
    assert SCOPE.select(data.draw(st.permutations(prices))) == chosen


@given(prices=st.lists(scopes, max_size=6))
def test_a_missing_price_is_always_explained(prices: list[Price]) -> None:
    if SCOPE.select(prices) is None:
        assert SCOPE.explain(prices)


@pytest.mark.parametrize(
    ("prices", "words"),
    [
        ([], "no price at all"),
        ([price(currency="USD"), price(currency="GBP")], "only in GBP, USD"),
        ([price(country="AT")], "other countries than DE"),
        ([price(valid_until=NOW - DAY)], "have ended"),
    ],
)
def test_explanations(prices: list[Price], words: str) -> None:
    assert words in SCOPE.explain(prices)


@pytest.mark.parametrize(
    ("currency", "cents", "digits", "expected"),
    [
        ("EUR", 1999, 2, "19.99"),
        ("EUR", 5, 2, "0.05"),
        ("EUR", 0, 2, "0.00"),
        ("JPY", 1999, 0, "1999"),
        ("KWD", 1999, 3, "1.999"),
        ("EUR", 1999, 7, "19.99"),
        ("XTS", 1999, 1, "199.9"),
        ("EUR", -250, 2, "-2.50"),
    ],
)
def test_amounts_have_the_decimals_of_their_currency(
    currency: str, cents: int, digits: int, expected: str
) -> None:
    found = amount(Money(currency_code=currency, cent_amount=cents, fraction_digits=digits))
    assert str(found) == expected
    assert isinstance(found, Decimal)


def test_a_discount_lowers_the_current_amount_only() -> None:
    discounted = price(2000).model_copy(
        update={"discounted": DiscountedPrice(value=Money(currency_code="EUR", cent_amount=1500))}
    )
    assert amounts(discounted) == (Decimal("15.00"), Decimal("20.00"))
    assert amounts(price(2000)) == (Decimal("20.00"), Decimal("20.00"))
