"""The detectors on the stream: every channel scored once, episodes and digests in the log (docs/spec/anomaly.md)."""
