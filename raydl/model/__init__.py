"""Values and small tools that every package may use: what moves between the stages, errors,
events, digests, units."""
