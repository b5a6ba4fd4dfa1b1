"""What can be said of infrastructure without Azure and without a compiler. `python -m infra.check` says it."""
