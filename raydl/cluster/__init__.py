"""Ray: connect, nodes, actors, objects. The only package that imports ray, and only when used.

Ray's errors become ours here. Whatever it starts it also ends; a session that the process had
before stays as it was.
"""

from raydl.cluster.actors import MOST_LANES, Actor, ActorLost, ObjectPayload, Outcome
from raydl.cluster.connection import disconnect
from raydl.cluster.preflight import Answer, examine
from raydl.cluster.session import Node, Session, connect, several_nodes

__all__ = [
    "MOST_LANES",
    "Actor",
    "ActorLost",
    "Answer",
    "Node",
    "ObjectPayload",
    "Outcome",
    "Session",
    "connect",
    "disconnect",
    "examine",
    "several_nodes",
]
