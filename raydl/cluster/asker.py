"""The program that asks a head for ``preflight.examine`` what it wants, and prints a JSON object.

A process of its own, for Ray reads mode and token once a process and logs refusals to the
terminal. It is started with RAY_AUTH_MODE=disabled, and with this machine's token as
RAY_AUTH_TOKEN.
"""

from __future__ import annotations

import json
import os
import sys

from raydl.cluster.authentication import take_token
from raydl.cluster.preflight import ask_head, refusal
from raydl.cluster.tokenstore import MODE_VARIABLE, VARIABLE


def main() -> None:
    """Ask the head at the address that is the only argument."""
    address = sys.argv[1]
    answer, has_token = ask_head(address), VARIABLE in os.environ
    os.environ.pop(MODE_VARIABLE, None)  # it was set for that question
    wants_token = answer == "refused"
    if wants_token and has_token and take_token():
        answer = ask_head(address)
    error = refusal(address, answer, has_token)
    message, hint = (error.message, error.hint) if error else ("", "")
    session = answer["session"] if isinstance(answer, dict) else ""
    record = {"wants_token": wants_token, "message": message, "hint": hint, "session": session}
    print(json.dumps(record))


if __name__ == "__main__":
    main()
