"""Copies of an installation's stores: made while it runs, checked, and put back. docs/operations.md says how."""
