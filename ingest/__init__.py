"""Stage 2: receive, check, log, archive."""
