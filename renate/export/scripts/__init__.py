"""Scripts that travel with an export and are run without renate; nothing here imports it."""
