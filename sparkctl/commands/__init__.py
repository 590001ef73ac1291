"""Commands as values: pure functions that return words; nothing here runs them."""
