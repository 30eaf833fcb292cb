"""Where the bytes go: a file by way of its ``.part``, standard output, another thread."""
