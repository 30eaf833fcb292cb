"""A machine's role in a cluster: head or worker, started, watched and ended."""
