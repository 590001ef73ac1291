"""How nodes are reached: logins, keys, host keys, connections, and the one gate for commands."""
