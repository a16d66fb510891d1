"""The playbook: what people who run the business do about alerts, and every day. One source for page and document."""

from cogent_ops.services.playbook.blocks import Pages, Section
from cogent_ops.services.playbook.book import playbook
from cogent_ops.services.playbook.card import card
from cogent_ops.services.playbook.leads import href, words

__all__ = ["Pages", "Section", "card", "href", "playbook", "words"]
