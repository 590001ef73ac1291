"""Lab nodes as systemd machines in namespaces."""
