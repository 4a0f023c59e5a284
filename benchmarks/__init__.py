"""One script a claim of docs/performance.md; `python -m benchmarks [--json] [--quick] [NAME…]` runs them."""
