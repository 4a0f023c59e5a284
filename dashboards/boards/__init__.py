"""Grafana boards, alerts and their provisioning, built here and committed below deploy/grafana (docs/boards.md)."""
