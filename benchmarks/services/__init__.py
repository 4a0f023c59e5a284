"""All real services on one machine under load: `python -m benchmarks.services throughput|latency|soak`."""
