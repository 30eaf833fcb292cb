"""A node's worker that dies amid a run of many files."""

from tests.workers.test_fleet import actors


class Killer:
    """Hears the events of a run, and kills one worker once the first file has ended."""

    def __init__(self):
        self.killed = []

    def __call__(self, event):
        if event.kind() == "file_ended" and not self.killed:
            for process in actors()[:1]:
                self.killed.append(process.pid)
                process.kill()
