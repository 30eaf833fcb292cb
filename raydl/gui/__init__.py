"""The windows: choose a role, join a cluster, watch a download. Tk, on top of the same API and
events as everything else."""
