"""What a kiosk is told when a shopper looks at a product: its stock at this moment, or that nobody knows."""
