"""Stage 3: reads checked frames from the log, judges legs by the integer rules, writes verdicts."""
