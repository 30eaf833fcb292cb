"""``python -m raydl``."""

from raydl.cli.main import main

main()
