"""Twins of the detectors, one reading at a time in plain Python, written from the formulas in their docstrings.

Bits are compared, so sums are added in the formula's order. Constants are the detectors' own: settings, not results.
"""
