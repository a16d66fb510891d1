"""Why is this number what it is: one place's stock explained from the store and from both systems."""
