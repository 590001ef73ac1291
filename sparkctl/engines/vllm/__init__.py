"""The engine vLLM: words, flags by version, the NCCL its images carry."""
