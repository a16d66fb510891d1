"""What the gate found: one record that breaks one rule, and who mends it where."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from cogent_ops.domain.exceptions import Owner


class Severity(StrEnum):
    """What a broken rule does to the record."""

    BLOCK = "block"
    WARN = "warn"


class Finding(BaseModel):
    """One broken rule on one product or variant.

    :param product_key: empty when the product has none.
    :param sku: as commercetools holds it, control characters included; ``None`` for a product or without SKU.
    :param variant_id: ``None`` when the finding concerns the product as a whole.
    :param rule: stable name of the rule.
    :param value: the offending value as text, shortened.
    :param cure: what to do.
    :param mend: where to do it.
    """

    model_config = ConfigDict(frozen=True)

    product_id: str
    product_key: str = ""
    product_name: str = ""
    sku: str | None = None
    variant_id: int | None = None
    field: str
    rule: str
    message: str
    value: str = ""
    severity: Severity
    owner: Owner
    cure: str
    mend: str
