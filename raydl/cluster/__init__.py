"""Ray: connect, nodes, actors, objects. The only package that imports ray, and only when used.

Ray's errors become ours here. Whatever it starts it also ends; a session that the process had
before stays as it was.
"""
