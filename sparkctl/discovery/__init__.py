"""From what nodes hear of each other to cables, and from cables to an inventory."""
