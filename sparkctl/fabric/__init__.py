"""Cluster to Fabric: which netdev has which address, cable and rail."""
