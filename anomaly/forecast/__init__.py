"""The forecaster: quantiles of the next hours, and the probability and time of a breach (docs/forecasting.md).

Training needs the extra `train` (torch through Lightning); serving needs numpy and numba alone.
"""
