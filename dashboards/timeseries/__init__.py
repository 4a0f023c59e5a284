"""The time series: the log as measurements in InfluxDB, for the boards (docs/spec/series.md)."""
