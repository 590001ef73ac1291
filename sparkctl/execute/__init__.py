"""The only package that waits: transports, gathering, and the run of a plan."""
