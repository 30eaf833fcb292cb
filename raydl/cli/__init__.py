"""The command line: `raydl fetch`, `coordinator`, `worker`, `demo` and the rest."""
