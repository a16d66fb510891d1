"""The store's schema, release by release."""
