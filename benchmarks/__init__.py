"""What the package must be able to do, as figures: ratios to a floor, throughput, memory. Never run as tests."""
