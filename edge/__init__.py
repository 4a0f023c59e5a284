"""Stage 1: sample, run, frame, outbox, publish. Runs on a small gateway: no numpy, no torch, no web3."""
