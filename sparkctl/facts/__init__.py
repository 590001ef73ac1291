"""What a node says of itself: probes, pure parsers, and the snapshot of all of them."""
