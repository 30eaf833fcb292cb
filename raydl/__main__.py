"""``python -m raydl``."""

from raydl.cli import main

main()
