"""What Countersign costs, beside the same work done by hand: `make bench`, or `python -m benchmarks --help`."""
