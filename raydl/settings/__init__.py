"""The options: defined once, read from text, files, variables and flags."""
