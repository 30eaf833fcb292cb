"""The Python API: the functions behind ``import raydl``, and fsspec's file system."""
