"""What a month says of how a link is run: numbers, and the rules that say what to do next."""
