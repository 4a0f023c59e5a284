"""Streaming detectors: kernels over arrays, one pass, no look-ahead, bounded state a channel, the same bits everywhere.

A detector is a module with WIDTH float64 numbers of state a channel, `step` for one reading, and a kernel for many:

    kernel(state, slot, time_ms, value, out)
        state    (channels, WIDTH) f64, changed in place; a row of zeros is a channel that has not begun
        slot     (n,) i64: the row of each reading
        time_ms  (n,) i64; readings of one channel come in time order, those of different channels in any
        value    (n,) f64; NaN or an infinity is a fault: it scores NaN and changes nothing
        out      (n,) f64: surprise, zero or more, high is unusual, in the detector's own unit; NONE: nothing to say yet

`step` also takes `pace`, in (0, 1]: how fast to learn; below 1 while an alarm is up.

Only + − × ÷, √, floor, comparisons and bit casts are used, so that every machine computes the same bits.
"""

from anomaly.detectors.fresh import drop_stale, kept_in, sources

drop_stale(kept_in(), sources())
