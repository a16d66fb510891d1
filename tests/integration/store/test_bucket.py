"""The arithmetic of the rate budget, without a store."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cogent_ops.domain.priorities import Priority
from cogent_ops.store.bucket import (
    CUT_INTERVAL_SECONDS,
    LEAST_FACTOR,
    LONGEST_PAUSE_SECONDS,
    LONGEST_STEP_SECONDS,
    RECOVERY_SECONDS,
    RESERVED,
    SLICE_SECONDS,
    Bucket,
    Limit,
)

NOW = 1_800_000_000.0
TINY = 1e-6

limits = st.builds(Limit, st.floats(0.1, 500), st.floats(1, 1000))
priorities = st.sampled_from(Priority)
pauses = st.floats(0, 100)


@st.composite
def buckets(draw: st.DrawFn, limit: Limit) -> Bucket:
    """A bucket that is open and up to date at ``NOW``."""
    return Bucket(
        tokens=draw(st.floats(0, limit.burst)),
        refilled_at=NOW,
        factor=draw(st.floats(LEAST_FACTOR, 1)),
        cut_at=NOW - draw(st.floats(0, 100)),
    )


@pytest.mark.parametrize(("rate", "burst"), [(0, 5), (-1, 5), (5, 0.5), (5, 0)])
def test_a_limit_lets_something_through(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="rate > 0 and burst >= 1"):
        Limit(rate, burst)


@given(st.data(), limits, st.floats(-1000, 1000), st.floats(0, 50))
def test_refill_follows_the_rate_and_stops_at_the_burst(
    data: st.DataObject, limit: Limit, passed: float, returned: float
) -> None:
    bucket = data.draw(buckets(limit))
    later = bucket.refilled(limit, NOW + passed, returned=returned)
    # What is left of it beside the seconds since 1970: a tenth of a microsecond, at a large rate many tokens.
    elapsed = (NOW + passed) - NOW
    wanted = bucket.tokens + returned + max(0.0, elapsed) * limit.rate * bucket.factor
    assert later.tokens == pytest.approx(min(limit.burst, wanted))
    assert later.refilled_at == NOW + passed
    assert later.factor == bucket.factor


@given(st.data(), limits, priorities)
def test_a_lease_takes_what_it_grants_and_leaves_the_reserve(
    data: st.DataObject, limit: Limit, priority: Priority
) -> None:
    bucket = data.draw(buckets(limit))
    wanted = data.draw(st.integers(1, int(limit.burst)))
    left, lease = bucket.lease(limit, wanted, priority, NOW)
    assert left.tokens == pytest.approx(bucket.tokens - lease.tokens)
    if lease.tokens:
        assert wanted <= lease.tokens <= max(wanted, limit.rate * bucket.factor * SLICE_SECONDS)
        reserve = RESERVED[priority] * limit.burst
        assert left.tokens >= min(reserve, limit.burst - wanted) - TINY
    else:
        assert left == bucket
        assert 0 < lease.soonest <= lease.ready


@given(st.data(), limits, priorities)
def test_who_must_wait_learns_exactly_how_long(data: st.DataObject, limit: Limit, priority: Priority) -> None:
    bucket = data.draw(buckets(limit))
    wanted = data.draw(st.integers(1, int(limit.burst)))
    lease = bucket.lease(limit, wanted, priority, NOW)[1]
    assume(lease.tokens == 0)

    def after(seconds: float) -> int:
        moment = NOW + seconds
        return bucket.refilled(limit, moment).lease(limit, wanted, priority, moment)[1].tokens

    assert after(lease.soonest + TINY) >= wanted
    assert after(lease.soonest * 0.99 - TINY) == 0
    whole = int(min(limit.rate * bucket.factor * SLICE_SECONDS, limit.burst * (1 - RESERVED[priority])))
    assert after(lease.ready + TINY) >= max(wanted, whole)


def test_orders_find_tokens_that_others_may_not_take() -> None:
    limit, bucket = Limit(rate=0.01, burst=10), Bucket(tokens=10, refilled_at=NOW)
    taken = {}
    for priority in (Priority.CATALOGUE, Priority.STOCK, Priority.ORDERS):
        taken[priority] = 0
        while (step := bucket.lease(limit, 1, priority, NOW))[1].tokens:
            bucket, taken[priority] = step[0], taken[priority] + 1
    assert taken == {Priority.CATALOGUE: 6, Priority.STOCK: 2, Priority.ORDERS: 2}


@pytest.mark.parametrize("priority", Priority)
def test_the_smallest_bucket_serves_everybody(priority: Priority) -> None:
    limit = Limit(rate=1, burst=1)
    assert Bucket(1, NOW).lease(limit, 1, priority, NOW)[1].tokens == 1


@given(st.data(), limits, pauses, priorities)
def test_after_a_refusal_nobody_sends_until_the_pause_is_over(
    data: st.DataObject, limit: Limit, pause: float, priority: Priority
) -> None:
    assume(pause > TINY)
    refused = data.draw(buckets(limit)).throttled(NOW, pause)
    within = NOW + pause * data.draw(st.floats(0, 0.999))
    assume(within < NOW + pause)  # A moment is a float, so there are steps.
    bucket, lease = refused.refilled(limit, within, returned=100, healthy=True).lease(
        limit, 1, priority, within
    )
    assert (lease.tokens, lease.blocked) == (0, True)
    assert lease.soonest == lease.ready == pytest.approx(NOW + pause - within)
    assert bucket.tokens == 0
    over = bucket.refilled(limit, NOW + pause + 1)
    assert over.tokens == pytest.approx(min(limit.burst, limit.rate * over.factor), rel=1e-3)


@given(st.data(), limits, pauses)
def test_a_refusal_halves_the_rate_down_to_a_least(data: st.DataObject, limit: Limit, pause: float) -> None:
    bucket = replace(data.draw(buckets(limit)), cut_at=NOW - CUT_INTERVAL_SECONDS)
    assert bucket.throttled(NOW, pause).factor == max(LEAST_FACTOR, bucket.factor / 2)


@given(limits, st.lists(st.floats(0, CUT_INTERVAL_SECONDS * 0.9), min_size=1, max_size=20), pauses)
def test_refusals_that_come_together_are_one(limit: Limit, delays: list[float], pause: float) -> None:
    bucket = Bucket(limit.burst, NOW)
    for delay in [0.0, *sorted(delays)]:
        bucket = bucket.throttled(NOW + delay, pause)
    assert bucket.factor == 0.5
    assert bucket.blocked_until == NOW + max(0.0, *delays) + pause


@given(limits)
def test_successes_bring_the_rate_back_within_its_time(limit: Limit) -> None:
    bucket = Bucket(0, NOW, factor=LEAST_FACTOR)
    for second in range(1, int(RECOVERY_SECONDS) + 1):
        bucket = bucket.refilled(limit, NOW + second, healthy=True)
        assert bucket.factor == pytest.approx(min(1, LEAST_FACTOR + second / RECOVERY_SECONDS))
    assert bucket.factor == 1
    assert bucket.refilled(limit, NOW + 1000, healthy=True).factor == 1


@given(limits, st.floats(0, 10_000))
def test_silence_is_no_success(limit: Limit, silence: float) -> None:
    bucket = Bucket(0, NOW, factor=0.1)
    assert bucket.refilled(limit, NOW + silence).factor == 0.1
    after = bucket.refilled(limit, NOW + silence, healthy=True).factor
    assert after <= 0.1 + LONGEST_STEP_SECONDS / RECOVERY_SECONDS + TINY


@given(limits, st.floats(0, 1e7))
def test_a_clock_set_back_stops_nobody_for_longer_than_an_hour(limit: Limit, back: float) -> None:
    refused = Bucket(limit.burst, NOW).throttled(NOW, 10)
    moment = NOW - back
    lease = refused.refilled(limit, moment).lease(limit, 1, Priority.ORDERS, moment)[1]
    assert lease.soonest <= LONGEST_PAUSE_SECONDS + TINY
    opened = refused.refilled(limit, moment).refilled(limit, moment + LONGEST_PAUSE_SECONDS + 11)
    assert opened.blocked_until <= opened.refilled_at


@given(
    limits,
    st.lists(
        st.tuples(st.floats(0, 2), priorities, st.integers(1, 5), st.floats(0, 1), st.booleans()), max_size=40
    ),
)
def test_no_stretch_of_time_sees_more_than_rate_and_burst(
    limit: Limit, steps: list[tuple[float, Priority, int, float, bool]]
) -> None:
    bucket, now = Bucket(limit.burst, NOW), NOW
    balance = 0.0
    most = [(NOW, 0.0)]  # what was taken, less what was given back, by the end of each step
    for wait, priority, wish, share, refused in steps:
        now += wait
        wanted = min(wish, int(limit.burst))
        bucket, lease = bucket.refilled(limit, now, healthy=True).lease(limit, wanted, priority, now)
        balance += lease.tokens
        most.append((now, balance))
        if refused:
            bucket = bucket.throttled(now, wait)
        elif bucket.blocked_until <= now:
            unused = int(lease.tokens * share)
            bucket = bucket.refilled(limit, now, returned=unused)
            balance -= unused
    for begin, before in most:
        for end, after in most:
            if begin <= end:
                assert after - before <= limit.burst + limit.rate * (end - begin) + TINY
