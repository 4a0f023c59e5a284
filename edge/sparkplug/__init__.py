"""Sparkplug B 3.0 (docs/gateway.md): third-party edge nodes on a local broker, heard as a host application."""
