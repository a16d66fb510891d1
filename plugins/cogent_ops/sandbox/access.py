"""Who is let in: the API client of the simulated project, and the key of the simulated organisation.

Both can be ended while the sandbox runs, as people do by mistake, by plan, or because a date has come.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cogent_ops.sandbox.answers import Json
from cogent_ops.sandbox.cloudshelf_state import CloudshelfState
from cogent_ops.sandbox.collection import wire_time
from cogent_ops.sandbox.predicates import moment
from cogent_ops.sandbox.state import CommercetoolsState


def change_client(state: CommercetoolsState, given: Mapping[str, Any]) -> Json:
    """Change the API client: ``deleteAt`` (``null``: it does not end by itself), ``scopes``, ``revoked``.

    A revoked client is gone for good, and only a reset brings it back.

    :raises ValueError: when it is gone already.
    """
    clients, id_ = state["api-clients"], state.behaviour.client_id
    client = clients.get(id_)
    if client is None:
        raise ValueError(f"the API client {id_} is gone")
    if given.get("revoked"):
        return clients.remove(id_)
    changed = dict(client)
    if "deleteAt" in given:
        changed.pop("deleteAt", None)
        if given["deleteAt"] is not None:
            changed["deleteAt"] = wire_time(moment(given["deleteAt"]))
    if "scopes" in given:
        changed["scope"] = " ".join(given["scopes"])
    clients.put(changed)
    return changed


def change_key(state: CloudshelfState, given: Mapping[str, Any]) -> Json:
    """Change the API key: ``revoked``, and what its role allows (``permissions``, as ``ENTITY:ACTION``)."""
    if "revoked" in given:
        state.key_revoked_at = state.clock.stamp() if given["revoked"] else None
    if "permissions" in given:
        state.role = frozenset(given["permissions"])
    return {"revokedAt": state.key_revoked_at, "permissions": sorted(state.permissions)}
