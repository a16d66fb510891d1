"""Kiosk orders to commercetools: captured once, changed as they change, told back, or owned by somebody."""
