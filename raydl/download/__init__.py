"""A download from URL to file: every stage put together, in the foreground or behind a handle."""
