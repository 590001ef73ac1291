"""RDMA and all-gather tests: what runs when, the words on the nodes, and how their output is read."""
