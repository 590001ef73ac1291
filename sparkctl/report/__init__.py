"""What people and machines read: findings, events, summaries."""
