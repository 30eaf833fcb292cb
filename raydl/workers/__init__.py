"""What fetches: lanes that are threads of this process, or those of an actor on a node."""
