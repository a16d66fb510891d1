"""A story of a number as ``explain`` tells it, for whatever shows it."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.support.snapshots import NOW

from cogent_ops.domain.health.story import Event, Fact, Side, Step, Story, System, What


def tale(now: datetime = NOW, link: str = "default") -> Story:
    """Why three coats: two of them nobody can explain."""

    def event(hours: float, system: System, what: What, text: str, **values: object) -> Event:
        given = {
            "at": now - timedelta(hours=hours),
            "system": system,
            "what": what,
            "text": text,
            "link": link,
        }
        return Event.model_validate(given | values)

    return Story(
        link=link,
        sku="COAT-M-001",
        place="store-2",
        name="Leeds Briggate",
        asked_at=now,
        since=now - timedelta(days=14),
        sentence="commercetools has 3, because 12 were counted on 24 November, 8 were sold since, 1 came back, and 2 "
        "went in a way that nothing explains. Kiosks were told 2, for 1 more is sold and on its way.",
        shop=Side(text="3 on stock, of which 0 are reserved", number=3, available=3, read_at=now),
        kiosks=Side(text="in stock, 2 left", number=2, read_at=now),
        pending=-1,
        steps=(
            Step(text="counted in the store", units=12, note="24 November, by the till system"),
            Step(text="sold at kiosks", units=-5),
            Step(text="sold on the website", units=-3),
            Step(text="came back", units=1),
            Step(text="changed without a trace", units=-2, is_unexplained=True, note="between 26 Nov 09:10 and 10:25"),
            Step(text="on stock in commercetools", units=3, is_sum=True),
            Step(text="sold at a kiosk, on its way", units=-1),
            Step(text="what kiosks were told", units=2, is_sum=True),
        ),
        unexplained=2,
        events=(
            event(78, System.STORE, What.COUNT, "The store counted 12.", reference="counts-leeds.csv, row 14"),
            event(78, System.SHOP, What.BATCH, "The count was booked.", units=4, number=12, reference="batch 6f2c"),
            event(
                54,
                System.KIOSK,
                What.MOVEMENT,
                "Sold at a kiosk: 3.",
                units=-3,
                reference="CS-01K9XR2QW7",
                detail=(Fact(name="order", value="CS-01K9XR2QW7"), Fact(name="kiosk", value="Leeds 1")),
            ),
            event(54, System.SHOP, What.BATCH, "The sale was booked.", units=-3, number=9, reference="batch 70aa"),
            event(44, System.SHOP, What.WEB_ORDER, "The website sold 3.", units=-3, number=6, reference="W-20811"),
            event(29, System.SHOP, What.UNEXPLAINED, "The number fell by 2, and nothing says why.", units=-2, number=4),
            event(20, System.SHOP, What.BATCH, "A return was booked.", units=1, number=5, reference="batch 7b10"),
            event(6, System.SHOP, What.BATCH, "A sale of 2 was booked.", units=-2, number=3, reference="batch 7c55"),
            event(5.9, System.US, What.TOLD, "Kiosks were told 3."),
            event(2, System.US, What.EXCEPTION, "An exception was opened: stock differs.", exception=41, open=True),
            event(0.1, System.KIOSK, What.MOVEMENT, "Sold at a kiosk: 1.", units=-1, open=True, reference="CS-01K9ZZ"),
            event(0.05, System.US, What.TOLD, "Kiosks were told 2."),
        ),
        left_out=4,
        notes=("commercetools keeps no Messages, so edits by hand cannot be named.",),
    )  # fmt: skip
