"""The shape of a model: its heads, layers and experts, and from them its parameters and the size of its KV cache."""

from __future__ import annotations

from typing import NamedTuple

# Bytes per parameter (facts F6). NVFP4 and MXFP4 are 4 bits and a scale of one byte for every
# 16 or 32 of them; AWQ and GPTQ have a scale and a zero for every 128.
BYTES_PER_PARAMETER = {"bf16": 2.0, "fp8": 1.0, "nvfp4": 0.5 + 1 / 16, "mxfp4": 0.5 + 1 / 32, "int4": 0.52}
WIDE = BYTES_PER_PARAMETER["bf16"]  # embeddings and the output head stay bf16 in every format (same source)


class Shape(NamedTuple):
    """What a config.json says, in one vocabulary. `experts` 0: dense. `kv_rank` 0: no MLA. `window` 0: no sliding."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int
    intermediate: int
    context: int = 0
    tied: bool = False
    experts: int = 0
    experts_per_token: int = 0
    expert_size: int = 0
    shared_experts: int = 0
    dense_layers: int = 0
    q_rank: int = 0
    kv_rank: int = 0
    rope_size: int = 0
    nope_size: int = 0
    v_size: int = 0
    window: int = 0
    full_layers: int = -1

    @property
    def mla(self) -> bool:
        """Whether attention keeps one compressed vector per token instead of keys and values per head."""
        return self.kv_rank > 0

    @property
    def embedding(self) -> int:
        """Parameters of the input embedding; a tied output head is the same ones."""
        return self.vocabulary * self.hidden

    @property
    def head(self) -> int:
        """Parameters of an output head of its own."""
        return 0 if self.tied else self.embedding

    @property
    def attention(self) -> int:
        """Parameters of attention in all layers."""
        if self.mla:
            queries = self.q_rank or self.hidden
            down = self.hidden * (self.q_rank + self.kv_rank + self.rope_size)
            up = queries * self.heads * (self.nope_size + self.rope_size)
            both = self.kv_rank * self.heads * (self.nope_size + self.v_size)
            return self.layers * (down + up + both + self.heads * self.v_size * self.hidden)
        return self.layers * 2 * self.hidden * self.head_size * (self.heads + self.kv_heads)

    @property
    def mlp(self) -> int:
        """Parameters of everything between attentions that every token uses: dense layers, shared experts, routers."""
        dense = self.dense_layers if self.experts else self.layers
        shared = 3 * self.shared_experts * self.expert_size + self.experts
        return self.hidden * (3 * dense * self.intermediate + (self.layers - dense) * shared)

    @property
    def routed(self) -> int:
        """Parameters of the experts that tokens are routed to."""
        return 3 * self.hidden * self.expert_size * self.experts * (self.layers - self.dense_layers)

    @property
    def parameters(self) -> int:
        """All of them (norms and biases, well below 1 %, left out)."""
        return self.embedding + self.head + self.attention + self.mlp + self.routed

    @property
    def active(self) -> int:
        """Those that one token reads: an input embedding of its own gives one row, which counts as none."""
        looked_up = 0 if self.tied else self.embedding
        return self.parameters - looked_up - self.routed + round(self.routed * self.active_share)

    @property
    def active_share(self) -> float:
        """The part of the routed experts that one token uses."""
        return min(1.0, self.experts_per_token / self.experts) if self.experts else 1.0

    def kv_per_layer(self, tensor: int, dtype: str) -> float:
        """Bytes that one token leaves in one layer of one rank (facts F8: GQA is divided by tensor, MLA is not)."""
        if self.mla:
            return (self.kv_rank + self.rope_size) * _kv_bytes(dtype)
        return max(1, self.kv_heads // tensor) * 2 * self.head_size * _kv_bytes(dtype)

    def tokens_kept(self, layers: int, context: int) -> float:
        """Layers times tokens that `layers` of the model keep for one request; sliding ones keep their window."""
        full = layers if self.full_layers < 0 else layers * self.full_layers / self.layers
        kept = min(context, self.window) if self.window else 0
        return full * context + (layers - full) * kept


def _kv_bytes(dtype: str) -> float:
    """Bytes per number of the cache (facts F8): 8-bit kinds one, nvfp4 a half and a scale for 16, the rest two."""
    if dtype.startswith("fp8"):
        return 1.0
    return BYTES_PER_PARAMETER["nvfp4"] if dtype == "nvfp4" else WIDE
