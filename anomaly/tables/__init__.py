"""Csv files of readings: found, read in chunks, and written beside their scores (docs/scoring.md)."""
