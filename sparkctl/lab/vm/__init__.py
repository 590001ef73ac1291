"""The vm backend: emulated nodes with kernels of their own, so with real RoCE in software."""
