"""The cache in front of commercetools: who asks whom, how often, and what is said when nobody answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogent_ops.errors import CircuitOpen, CogentOpsError, ConnectionConfigError, TargetUnavailable
from cogent_ops.services.live_stock.cache import Bounds, Freshness, LiveCache

TTL, STALE = 3.0, 60.0
PATIENT = 20.0


@dataclass
class Target:
    """What is read: the number of reads so far, or a failure; it may be held up."""

    now: float = 1000.0
    down: CogentOpsError | None = None
    reads: list[tuple[str, ...]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def read(self, keys: Sequence[str]) -> dict[str, str]:
        with self.lock:
            self.reads.append(tuple(keys))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            number = len(self.reads)
        assert self.gate.wait(PATIENT)
        with self.lock:
            self.at_once -= 1
        if self.down is not None:
            raise self.down
        return {key: f"{key} of read {number}" for key in keys}

    def asked(self) -> Counter[str]:
        return Counter(key for keys in self.reads for key in keys)

    def cache(self, bounds: Bounds | None = None, **freshness: object) -> LiveCache[str]:
        fresh = Freshness(**{"ttl": TTL, "stale": STALE, **freshness})  # type: ignore[arg-type]
        return LiveCache("stock", self.read, fresh, bounds, clock=lambda: self.now)


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.gate.set()


def run(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(PATIENT):
            await scene()

    asyncio.run(bounded())


async def get(cache: LiveCache[str], key: str, patience: float = PATIENT, **more: float) -> tuple[str, float]:
    known = await cache.get(key, asyncio.get_running_loop().time() + patience, **more)
    return known.value, known.age


async def settled(target: Target, reads: int) -> None:
    """Until so many reads have begun and none is under way."""
    while len(target.reads) < reads or target.at_once:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0.2)


def test_however_many_ask_a_key_is_read_once_per_time_to_live(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache()
        target.gate.clear()
        asking = [asyncio.create_task(get(cache, "a")) for _ in range(200)]
        await asyncio.sleep(0)
        target.gate.set()
        assert set(await asyncio.gather(*asking)) == {("a of read 1", 0.0)}
        target.now += TTL - 0.01
        assert await get(cache, "a") == ("a of read 1", target.now - 1000.0)
        target.now += 0.02
        assert await get(cache, "a") == ("a of read 2", 0.0)
        assert target.reads == [("a",), ("a",)]

    run(scene)


def test_a_key_that_comes_as_the_last_reader_ends_is_read(target: Target) -> None:
    async def scene() -> None:
        asking: list[asyncio.Task[tuple[str, float]]] = []

        def clock() -> float:
            # The last thing that a reader does is to look at the clock: here a key comes just after it.
            if len(target.reads) == len(asking) + 1 and not target.at_once and len(asking) < 5:
                asking.append(asyncio.create_task(get(cache, f"late {len(asking)}", patience=5)))
            return 1000.0

        cache = LiveCache("stock", target.read, Freshness(TTL, STALE), Bounds(readers=1), clock=clock)
        assert await get(cache, "first")
        while len(asking) < 5:
            await asking[-1]
        await asking[-1]
        assert target.reads == [("first",), *((f"late {number}",) for number in range(5))]

    run(scene)


def test_keys_that_wait_for_a_reader_are_read_together(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache(Bounds(readers=2, batch=50))
        target.gate.clear()
        keys = [f"k{number}" for number in range(90)]
        asking = [asyncio.create_task(get(cache, key)) for key in keys]
        await asyncio.sleep(0.05)
        late = asyncio.create_task(get(cache, "late"))
        await asyncio.sleep(0)
        target.gate.set()
        answers = await asyncio.gather(*asking, late)
        assert [value.split()[0] for value, _ in answers] == [*keys, "late"]
        assert len(target.reads) == 3
        assert max(target.asked().values()) == 1
        assert target.most_at_once <= 2
        assert all(len(read) <= 50 for read in target.reads)

    run(scene)


def test_reads_keep_their_pace_and_take_along_what_is_wanted_meanwhile(target: Target) -> None:
    waits = [0.0]

    async def scene() -> None:
        cache = LiveCache(
            "stock", target.read, Freshness(TTL, STALE), Bounds(readers=1), pace=lambda: waits[-1]
        )
        await get(cache, "a")
        waits.append(0.01)
        asking = [asyncio.create_task(get(cache, key)) for key in "bc"]
        await asyncio.sleep(0.05)
        asking.append(asyncio.create_task(get(cache, "d")))
        await asyncio.sleep(0)
        assert target.reads == [("a",)]
        waits.append(0.0)
        await asyncio.gather(*asking)
        assert target.reads == [("a",), ("b", "c", "d")]

    run(scene)


def test_a_reader_that_finds_nothing_left_reads_nothing(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        waits = [0.02] * 3
        cache = LiveCache(
            "stock",
            target.read,
            Freshness(TTL, STALE),
            Bounds(readers=3),
            pace=lambda: waits.pop() if waits else 0.0,
        )
        await asyncio.gather(*(get(cache, key) for key in "abc"))
        await settled(target, 1)

    run(scene)
    assert target.reads == [("a", "b", "c")]
    assert not caplog.records


def test_while_reading_fails_the_last_known_value_stands_in_with_its_age(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache()
        await get(cache, "a")
        target.down = TargetUnavailable("503")
        target.now += 10
        assert await get(cache, "a") == ("a of read 1", 10.0)
        target.now += STALE - 10
        assert await get(cache, "a") == ("a of read 1", STALE)
        target.now += 0.01
        with pytest.raises(TargetUnavailable, match="503"):
            await get(cache, "a")

    run(scene)


def test_what_was_never_known_is_the_error_and_no_value(target: Target) -> None:
    async def scene() -> None:
        target.down = ConnectionConfigError("commercetools_default", "password", "it is wrong", "Correct it.")
        cache = target.cache()
        for _ in range(3):
            with pytest.raises(ConnectionConfigError):
                await get(cache, "a")

    run(scene)


def test_a_failure_is_not_asked_for_again_before_its_time(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache(retry=5.0)
        target.down = TargetUnavailable("down")
        for _ in range(50):
            with pytest.raises(TargetUnavailable):
                await get(cache, "a")
        assert len(target.reads) == 1
        target.now += 5
        target.down = None
        assert (await get(cache, "a"))[0] == "a of read 2"

    run(scene)


def test_where_nothing_was_sent_it_is_tried_again_as_soon_as_that_can_help(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache()
        target.down = CircuitOpen("parked", retry_after=1.0)
        with pytest.raises(CircuitOpen):
            await get(cache, "a")
        target.now += 1.0
        target.down = None
        assert (await get(cache, "a"))[0] == "a of read 2"

    run(scene)


def test_who_cannot_wait_gets_the_old_value_and_the_read_goes_on(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache()
        await get(cache, "a")
        target.now += 10
        target.gate.clear()
        assert await get(cache, "a", patience=0.02) == ("a of read 1", 10.0)
        with pytest.raises(TargetUnavailable, match="in time"):
            await get(cache, "b", patience=0.02)
        target.gate.set()
        await settled(target, 3)
        assert await get(cache, "a") == ("a of read 2", 0.0)
        assert len(target.reads) == 3

    run(scene)


def test_a_target_that_failed_holds_nobody_up_who_can_have_an_old_value(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache()
        await get(cache, "a")
        await get(cache, "b")
        target.down = TargetUnavailable("down")
        target.now += 10
        await get(cache, "a")
        target.now += 10
        target.gate.clear()
        assert await get(cache, "a") == ("a of read 1", 20.0)
        assert await get(cache, "b") == ("b of read 2", 20.0)
        target.down = None
        target.gate.set()
        await settled(target, 4)
        assert await get(cache, "b") == ("b of read 4", 0.0)

    run(scene)


def test_a_slow_read_is_as_good_as_it_gets_for_those_who_waited_for_it(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache(stale=0.0)
        target.gate.clear()
        asking = asyncio.create_task(get(cache, "a"))
        await asyncio.sleep(0.02)
        target.now += TTL + 5
        target.gate.set()
        assert await asking == ("a of read 1", TTL + 5)

    run(scene)


def test_behind_an_old_value_is_given_at_once_and_renewed(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache(behind=True)
        await get(cache, "a")
        target.now += 10
        target.gate.clear()
        assert await get(cache, "a") == ("a of read 1", 10.0)
        target.gate.set()
        await settled(target, 2)
        assert (await get(cache, "a"))[0] == "a of read 2"
        target.now += 2
        assert await get(cache, "a", max_age=1.0) == ("a of read 3", 0.0)

    run(scene)


def test_the_key_not_asked_for_longest_is_forgotten_first(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache(Bounds(keys=3))
        for key in ("a", "b", "c", "a", "d", "a", "c", "d"):
            await get(cache, key)
        assert target.asked() == {"a": 1, "b": 1, "c": 1, "d": 1}
        await get(cache, "b")
        assert target.asked()["b"] == 2

    run(scene)


def test_more_keys_than_may_wait_are_refused_and_not_forgotten(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache(Bounds(readers=1, batch=1, waiting=5))
        target.gate.clear()
        asking = [asyncio.create_task(get(cache, f"k{number}")) for number in range(20)]
        await asyncio.sleep(0.05)
        target.gate.set()
        results = await asyncio.gather(*asking, return_exceptions=True)
        refused = [one for one in results if isinstance(one, TargetUnavailable)]
        assert len(refused) + len(target.reads) == 20
        assert len(target.reads) in (5, 6)
        target.now += STALE + 1
        old = await get(cache, "k0")
        assert old[1] == 0.0

    run(scene)


def test_a_full_queue_does_not_bring_back_a_value_that_is_too_old(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache(Bounds(readers=1, batch=1, waiting=1))
        await get(cache, "a")
        target.now += STALE + 1
        target.gate.clear()
        others = []
        for key in "bc":  # one is being read, the other fills the queue
            others.append(asyncio.create_task(get(cache, key)))
            await asyncio.sleep(0.02)
        with pytest.raises(TargetUnavailable):
            await get(cache, "a")
        target.gate.set()
        await asyncio.gather(*others)

    run(scene)


def test_a_defect_of_ours_is_said_and_counts_as_a_failed_read(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(keys: Sequence[str]) -> dict[str, str]:
        raise KeyError("sku")

    async def scene() -> None:
        cache = LiveCache("stock", broken, Freshness(TTL, STALE))
        with pytest.raises(TargetUnavailable):
            await get(cache, "a")

    run(scene)
    assert "KeyError" in caplog.text


def test_a_value_left_out_by_the_read_is_no_value(target: Target) -> None:
    async def scene() -> None:
        cache = LiveCache[str]("stock", lambda keys: {}, Freshness(TTL, STALE))
        with pytest.raises(TargetUnavailable):
            await get(cache, "a")

    run(scene)


def test_a_client_that_goes_away_takes_nobody_along(target: Target) -> None:
    async def scene() -> None:
        cache = target.cache()
        target.gate.clear()
        leaving, staying = (asyncio.create_task(get(cache, "a")) for _ in range(2))
        await asyncio.sleep(0.02)
        leaving.cancel()
        target.gate.set()
        assert (await staying)[0] == "a of read 1"

    run(scene)


def test_a_reader_cut_off_leaves_the_key_readable(target: Target) -> None:
    cache = target.cache(retry=0.0)
    target.gate.clear()

    async def cut_off() -> None:
        with pytest.raises(TargetUnavailable):
            await get(cache, "a", patience=0.05)

    run(cut_off)
    target.gate.set()

    async def again() -> None:
        assert (await get(cache, "a"))[0].startswith("a of read")

    run(again)


def test_the_log_tells_when_reading_fails_and_when_it_works_again(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def scene() -> None:
        cache = target.cache()
        target.down = TargetUnavailable("answered with 503")
        for _ in range(25):
            with pytest.raises(TargetUnavailable):
                await get(cache, "a")
            target.now += TTL
        target.down = None
        await get(cache, "a")

    run(scene)
    failed = [record for record in caplog.records if "cannot be read" in record.message]
    assert len(failed) == 2  # at once, and after a minute
    assert "503" in failed[0].message
    assert caplog.records[-1].message == "stock can be read again after 75 s."


def test_a_target_that_fails_now_and_then_does_not_fill_the_log(
    target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)

    async def scene() -> None:
        cache = target.cache()
        for number in range(20):
            target.down = TargetUnavailable("503") if number % 2 else None
            with contextlib.suppress(TargetUnavailable):
                await get(cache, f"k{number}")
            target.now += 1

    run(scene)
    assert len(caplog.records) == 2


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("ask"), st.sampled_from("abcd")),
            st.tuples(st.just("wait"), st.floats(0, 2 * STALE)),
            st.tuples(st.just("down"), st.booleans()),
        ),
        max_size=30,
    )
)
def test_whatever_happens_no_value_is_invented_outlives_its_limit_or_is_read_too_often(
    steps: list[tuple[str, object]],
) -> None:
    target = Target()
    read_at: dict[str, list[float]] = {}

    async def scene() -> None:
        cache = target.cache(Bounds(keys=3))
        for what, value in steps:
            if what == "wait":
                target.now += float(value)  # type: ignore[arg-type]
            elif what == "down":
                target.down = TargetUnavailable("down") if value else None
            else:
                before = len(target.reads)
                try:
                    text, age = await get(cache, str(value))
                except TargetUnavailable:
                    assert target.down is not None or len(target.reads) == before
                else:
                    assert text.startswith(f"{value} of read")
                    assert age <= STALE
                    assert age <= TTL or target.down is not None or len(target.reads) == before
                if len(target.reads) > before:
                    read_at.setdefault(str(value), []).append(target.now)

    run(scene)
    if len(read_at) < 4:  # no key had to make room
        for moments in read_at.values():
            assert all(later - sooner >= TTL - 1e-6 for sooner, later in pairwise(moments))
