"""The whole path in one process, on embedded parts: what `lading demo` runs. Nothing imports it."""
