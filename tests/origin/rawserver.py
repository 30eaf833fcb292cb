"""A server of bytes on a socket, for what no server of HTTP sends."""

import socket
import threading
from contextlib import contextmanager


@contextmanager
def serving(serve):
    """``serve`` gets the listening socket, in a thread of its own; yields host and port."""
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, args=(listening,))
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        socket.socket.shutdown(listening, socket.SHUT_RDWR)
        thread.join(10)
        listening.close()
