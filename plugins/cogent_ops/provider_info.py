"""What Airflow asks an installed provider package: its connection types and their forms.

Airflow reads this at start-up in every component, so nothing is imported here; the hooks are named, not loaded.
"""

from __future__ import annotations

from typing import Any

from cogent_ops import __version__

Field = dict[str, Any]


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata in the form of Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "cogent-ops",
        "name": "Cogent Ops",
        "description": "Keeps Cloudshelf kiosks and commercetools in step.",
        "versions": [__version__],
        "connection-types": [_commercetools(), _cloudshelf()],
        "notifications": ["cogent_ops.notifiers.AlertNotifier"],
    }


def _commercetools() -> dict[str, Any]:
    return {
        "connection-type": "commercetools",
        "hook-class-name": "cogent_ops.hooks.CommercetoolsHook",
        "hook-name": "commercetools",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "port", "extra"],
            "relabeling": {"host": "API base URL", "login": "Client id", "password": "Client secret"},
            "placeholders": {"host": "https://api.europe-west1.gcp.commercetools.com"},
        },
        "conn-fields": {
            "project_key": _text("Project key", "The key of the project, as in its URLs."),
            "auth_url": _text(
                "Auth URL",
                "Base URL of the OAuth service, e.g. https://auth.europe-west1.gcp.commercetools.com.",
            ),
            "scopes": _text("Scopes", "Separated by spaces. Empty: every scope that the API client has."),
            "expires_on": _EXPIRES_ON,
        },
    }


def _cloudshelf() -> dict[str, Any]:
    return {
        "connection-type": "cloudshelf",
        "hook-class-name": "cogent_ops.hooks.CloudshelfHook",
        "hook-name": "Cloudshelf",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "port", "login", "extra"],
            "relabeling": {"host": "GraphQL URL", "password": "API key"},
            "placeholders": {"host": "https://ingestapi.cloudshelf.ai/graphql"},
        },
        "conn-fields": {"expires_on": _EXPIRES_ON},
    }


def _text(label: str, description: str) -> Field:
    return {"label": label, "description": description, "schema": {"type": ["string", "null"]}}


_EXPIRES_ON = _text(
    "Expires on", "Last day of this access, such as 2027-06-30, or never. Somebody is told before it comes."
)
