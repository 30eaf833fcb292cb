"""Where bytes land when they do not pass through this process in order.

On the disk of every node, in a directory that all nodes share, in a bucket. ``desk`` is what each
of them works at: the messages of the fleet and of the scheduler, one at a time, in the thread of
the download.
"""
