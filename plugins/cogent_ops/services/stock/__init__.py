"""Stock: movements of kiosks and stores to commercetools, exactly once."""
