"""The command line: wires, never decides."""
