"""What secrets look like: what their issuers put in front of them, and the names of what holds one."""

from __future__ import annotations

import re

TOKENS = {
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{16,}",
    "an API key": r"\b(?:(?:sk|nvapi|gsk|pplx|xai)-|gsk_)[A-Za-z0-9_-]{16,}",
    "a GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,})",
    "a GitLab token": r"\bglpat-[A-Za-z0-9_-]{16,}",
    "a Slack token": r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}",
    "an AWS access key": r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
    "a Google API key": r"\bAIza[A-Za-z0-9_-]{35}",
    "a JSON web token": r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    "an age key": r"\bAGE-SECRET-KEY-[A-Z0-9]*",
}
"""By kind, the whole of each: a rule finds them, a report takes them out."""
TOKEN = re.compile("|".join(TOKENS.values()))
NAMES = r"(?:passw(?:or)?d|passphrase|psk|secret|token|credential|(?:api|private|access|auth|wep)[_-]?key)s?"
"""Words in the name of what holds a secret."""
_NAMED = re.compile(NAMES, re.IGNORECASE)
_PLACE = re.compile(r"(?:[_.-](?:file|path|dir)|(?-i:File|Path|Dir))$", re.IGNORECASE)
_SIZE = re.compile(r"tokeniz|max[\w-]*?tokens", re.IGNORECASE)


def names_secret(name: str) -> bool:
    """Whether a secret is what follows `name`: not a file or folder with one, no tokenizer and no count of tokens."""
    return not _PLACE.search(name) and _NAMED.search(_SIZE.sub("", name)) is not None
