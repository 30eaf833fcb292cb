import queue

from raydl.model import waiting


def test_no_call_waits_for_ever():
    calls = []

    class Late:
        def get(self, timeout):
            calls.append(timeout)
            if len(calls) < 3:
                raise queue.Empty
            return "x"

    assert waiting.next_item(Late()) == "x"
    assert calls == [waiting.CHECK_SECONDS] * 3
