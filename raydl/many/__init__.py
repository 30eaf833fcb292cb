"""Many files in one run: lists, names, small files in batches, one account of all."""
