"""Tell the story of one place's stock from all that is known of it."""

from __future__ import annotations

from collections.abc import Iterator

from cogent_ops.domain.health.chain import Chain, chain, moment
from cogent_ops.domain.health.events import events
from cogent_ops.domain.health.evidence import Known
from cogent_ops.domain.health.story import Side, Story
from cogent_ops.domain.health.summing import pending, sentence, sold_after_none, steps, sums, told_words


def tell(known: Known) -> Story:
    """The whole story."""
    whole = chain(known)
    found = sums(whole, known)
    waiting = pending(known)
    return Story(
        link=known.link,
        sku=known.place.sku,
        place=known.place.channel,
        name=known.name,
        asked_at=known.asked_at,
        since=known.since,
        sentence=sentence(whole, found, known),
        shop=shop_side(known, whole),
        kiosks=kiosk_side(known),
        pending=sum(one.delta or 0 for one in waiting),
        steps=tuple(steps(whole, found, known)),
        unexplained=found.unexplained if found else 0,
        events=tuple(events(known, whole)),
        left_out=known.ledger.left_out,
        notes=tuple(_notes(known, whole)),
    )


# The sides


def shop_side(known: Known, whole: Chain) -> Side:
    """What commercetools says."""
    shop, remembered = known.shop, known.ledger.remembered
    if shop.entry is not None:
        text = f"{shop.entry.on_stock} on stock, {shop.entry.available} can be sold"
        return Side(
            text=text, number=shop.entry.on_stock, available=shop.entry.available, read_at=shop.read_at
        )
    if not shop.problem:
        return Side(text="no inventory entry", read_at=shop.read_at)
    if remembered is None:
        return Side(text="not known", number=whole.number, problem=shop.problem)
    text = f"{remembered.on_stock} on stock when we changed it last, {moment(remembered.read_at)}"
    return Side(text=text, number=remembered.on_stock, available=remembered.available, problem=shop.problem)


def kiosk_side(known: Known) -> Side:
    """What kiosks were told and show."""
    level, kiosks = known.ledger.level, known.kiosks
    if level is None:
        told = (
            "kiosks were never told a number"
            if known.place.channel
            else "kiosks are told no number of a pool"
        )
    elif level.told is None:
        told = "nobody knows what kiosks were told"
    else:
        told = f"kiosks were told {told_words(level.told, known)}"
    if kiosks.problem:
        shown = ""
    elif not kiosks.is_shown:
        shown = ", and do not have the article"
    elif kiosks.in_stock is None:
        shown = ", and know no stock of the store" if known.place.channel else ""
    else:
        shown = f", and show it {'in stock' if kiosks.in_stock else 'out of stock'}"
    flags = f"; the article, all stores together: {kiosks.flags}" if kiosks.flags else ""
    return Side(
        text=f"{told}{shown}{flags}",
        number=known.told_for(level.told) if level and level.told is not None else None,
        read_at=kiosks.read_at,
        problem=kiosks.problem,
    )


# What could not be looked at


def _notes(known: Known, whole: Chain) -> Iterator[str]:
    if known.shop.problem:
        yield (
            f"commercetools could not be read, so orders of the web shop and changes by others since "
            f"{_last_known(known)} are missing here: {known.shop.problem}"
        )
    if known.kiosks.problem:
        yield f"Cloudshelf could not be read, so what kiosks show is not known: {known.kiosks.problem}"
    yield from known.shop.why
    if sold_after_none(known):
        yield (
            "A kiosk whose order was placed after kiosks were told that there is none had not heard of it, or sells "
            "whatever it shows."
        )
    if known.ledger.left_out:
        yield f"{known.ledger.left_out:,} older movements are not listed; ask for fewer days, or look in the store."
    if whole.hidden:
        yield "Orders of the web shop show in the inventory up to ten seconds late."


def _last_known(known: Known) -> str:
    remembered = known.ledger.remembered
    return moment(remembered.read_at) if remembered else "the beginning"
