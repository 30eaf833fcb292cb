"""Decides which node requests which bytes, from where, and when: the window, the lanes, retries,
hedges, the throttle. Its decisions are pure: no Ray, no HTTP, and the time is an argument."""
