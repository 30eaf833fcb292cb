"""What does not work here, and what to do about it: facts are collected, then judged."""
