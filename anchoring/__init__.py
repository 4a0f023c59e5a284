"""Stage 4: frames to batches, batches to a root, the root to the chain, and proofs back."""
