"""RawInventory: the file's format, strictly; its descriptions are the documentation and the JSON Schema."""

from __future__ import annotations

import re
from contextlib import suppress
from ipaddress import IPv4Interface
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticKnownError

from sparkctl.inventory.model import canonical
from sparkctl.inventory.words import visible

_LAYOUT = re.compile(r"(?:TP([1-9][0-9]{0,3}))?(?:PP([1-9][0-9]{0,3}))?(?:DP([1-9][0-9]{0,3}))?")
_END = re.compile(r"[^:]+:.+", re.DOTALL)
_WITH_PREFIX = re.compile(r"[0-9.]+/[0-9]{1,2}")

Text = Annotated[str, Field(min_length=1)]
TcpPort = Annotated[int, Field(ge=1, le=65535)]
Degree = Annotated[int, Field(ge=1, le=9999)]


def layout(text: str) -> tuple[int, int, int] | None:
    """`TP2PP2DP1` as (tensor, pipeline, data); None when it is no layout."""
    match = _LAYOUT.fullmatch(text)
    if match is None or not text:
        return None
    tensor, pipeline, data = (int(degree or 1) for degree in match.groups())
    return tensor, pipeline, data


def _is_layout(text: str) -> str:
    if layout(text) is None:
        raise ValueError("expected a layout such as TP2, PP3 or TP2PP2DP1")
    return text


def _is_end(text: str) -> str:
    if not _END.fullmatch(text):
        raise ValueError("expected one end of a cable as NAME:PORT, such as spark-1:p1")
    return text


def interface(text: str) -> IPv4Interface | None:
    """`10.100.0.1/24` as an address with its prefix; None when it is none."""
    with suppress(ValueError):
        return IPv4Interface(text) if _WITH_PREFIX.fullmatch(text) else None
    return None


def _is_interface(text: str) -> str:
    if interface(text) is None:
        raise ValueError("expected an IPv4 address with the length of its prefix")
    return text


def _text_of_number(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _is_argument(value: object) -> object:
    if isinstance(value, list):
        if not value:
            raise ValueError("expected a list with at least one item; null switches a flag off")
        if any(isinstance(item, (list, dict)) or item in (None, "") for item in value):
            raise ValueError("expected a list of words and numbers, without empty ones and without lists in it")
        if any(str(item).startswith("-") for item in value):
            raise ValueError("expected list items that do not begin with a dash: they would be taken for flags")
    return value


def _are_distinct(args: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, str] = {}
    for flag in args:
        first = seen.setdefault(canonical(flag), flag)
        if first != flag:
            raise ValueError(f"expected each flag once; {visible(first)} and {visible(flag)} are the same flag")
    return args


def _is_kind(value: object, info: ValidationInfo) -> object:
    """One of those that the engines give as context."""
    kinds = info.context or (value,)
    if value not in kinds:
        *others, last = map(repr, kinds)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(others)} or {last}"})
    return value


def _shape(value: object) -> str:
    return "written out" if isinstance(value, dict) else "short"


End = Annotated[
    str, AfterValidator(_is_end), Field(description="`node:p0`, `node:p1` or `switch:port`.", examples=["spark-1:p1"])
]
Kept = Annotated[str, AfterValidator(_is_interface)]
Setting = Annotated[str, BeforeValidator(_text_of_number), WithJsonSchema({"type": ["string", "integer"]})]
Argument = Annotated[
    Any,
    AfterValidator(_is_argument),
    WithJsonSchema({"type": ["string", "number", "boolean", "null", "array", "object"]}),
]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, defer_build=True)


class RawMetadata(_Section):
    """What the cluster is called."""

    name: Text = Field(description="Name of the cluster: a DNS label.", examples=["dual"])


class RawSsh(_Section):
    """How to log in to the nodes."""

    user: Text | None = Field(None, description="Login name on the nodes; default: the user who runs sparkctl.")
    identity_file: Text | None = Field(
        None, description="Private key; default: the SSH agent and the usual ~/.ssh/id_* files."
    )
    known_hosts: Text | None = Field(None, description="File of the pinned host keys; default: ~/.ssh/known_hosts.")
    sudo: Literal["passwordless", "prompt"] = Field("passwordless", description="How sudo is allowed on the nodes.")


class RawManagement(_Section):
    """The management network of a node; sparkctl never changes it."""

    interface: Text | None = Field(None, description="Management netdev; default: enP7s7, the 10GbE jack.")


class RawRails(_Section):
    """The addresses of one port."""

    A: Kept | None = Field(None, description="Of the first PCIe half.", examples=["10.100.0.1/24"])
    B: Kept | None = Field(None, description="Of the second PCIe half.", examples=["10.100.1.1/24"])


class RawAddresses(_Section):
    """Addresses of fabric ports that exist and stay; they win over fabric.subnet_pool."""

    p0: RawRails | None = Field(None, description="The QSFP cage next to the RJ45 jack.")
    p1: RawRails | None = Field(None, description="The outer QSFP cage.")


class RawNode(_Section):
    """One DGX Spark."""

    name: Text = Field(description="Name of the node: a DNS label.", examples=["spark-1"])
    address: Text = Field(description="Management address or host name, where SSH answers.", examples=["192.0.2.11"])
    port: TcpPort = Field(22, description="SSH port.")
    user: Text | None = Field(None, description="Login name on this node; default: ssh.user.")
    management: RawManagement | None = Field(None, description="Default: interface enP7s7.")
    addresses: RawAddresses | None = Field(
        None,
        description="Fabric addresses to keep, by port and rail; default: those of fabric.subnet_pool.",
        examples=[{"p1": {"A": "10.100.0.1/24", "B": "10.100.1.1/24"}}],
    )


class RawEnds(_Section):
    """One cable, its ends by name."""

    a: End
    b: End


class RawSwitch(_Section):
    """One switch of the fabric."""

    name: Text = Field(description="Name of the switch: a DNS label.", examples=["sw1"])
    model: Text | None = Field(None, description="Model, for its configuration.", examples=["mikrotik-crs804-4ddq"])
    address: Text | None = Field(None, description="Management address.")
    l2mtu: Annotated[int, Field(ge=64, le=65535)] | None = Field(
        None, description="Largest frame that its ports pass.", examples=[9216]
    )
    qos: Literal["none", "roce"] = Field(
        "none", description="roce: also render PFC and ECN, for RouterOS 7.23 and newer; not needed for full speed."
    )


class RawFabric(_Section):
    """The RoCE network between the nodes."""

    topology: Literal["direct", "mesh", "ring", "switch"] = Field(description="How the cables run.")
    mtu: int = Field(9000, description="MTU of every fabric netdev.")
    subnet_pool: Text = Field(
        "10.20.0.0/16", description="RFC 1918 network that the subnets of the rails are taken from."
    )
    transport: Literal["roce", "tcp"] = Field("roce", description="tcp: no RDMA anywhere.")
    rails: Literal["both", "A"] = Field("both", description="Both PCIe halves of a port, or only the first.")
    nccl: dict[str, Setting] = Field(default_factory=dict, description="Extra NCCL_* variables.")


class RawRuntime(_Section):
    """Where the engine's program comes from: exactly one of the two."""

    docker: Text | None = Field(
        None, description="Container image with a tag or digest.", examples=["vllm/vllm-openai:v0.33.0"]
    )
    venv: Text | None = Field(
        None, description="Absolute path of a Python environment on the nodes.", examples=["/opt/vllm"]
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> RawRuntime:
        if (self.docker is None) == (self.venv is None):
            raise ValueError("expected exactly one of docker and venv")
        return self


class RawParallel(_Section):
    """A layout, written out."""

    tensor: Degree = Field(1, description="Tensor-parallel size.")
    pipeline: Degree = Field(1, description="Pipeline-parallel size.")
    data: Degree = Field(1, description="Data-parallel size.")


LayoutName = Annotated[
    str, AfterValidator(_is_layout), Field(examples=["TP2", "PP3", "TP2PP2DP1"], pattern=r"^(TP\d+)?(PP\d+)?(DP\d+)?$")
]
Layout = Annotated[
    Annotated[LayoutName, Tag("short")] | Annotated[RawParallel, Tag("written out")],
    Discriminator(_shape),
]
Cable = Annotated[
    Annotated[Annotated[list[End], Field(min_length=2, max_length=2)], Tag("short")]
    | Annotated[RawEnds, Tag("written out")],
    Discriminator(_shape),
]


class RawEngine(_Section):
    """The inference engine that runs over all nodes."""

    kind: Annotated[str, BeforeValidator(_is_kind)] = Field(description="Which engine.")
    runtime: RawRuntime
    model: Text = Field(description="Hub name, or absolute path on the nodes.", examples=["openai/gpt-oss-120b"])
    parallel: Layout = Field(description="Layout of the ranks.")
    port: TcpPort = Field(8000, description="Port of the HTTP API on the head.")
    served_model_name: Text | None = Field(None, description="Model name in the API; default: the engine's own.")
    max_model_len: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Longest context; default: the model's own."
    )
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = Field(
        0.80, description="Share of the unified memory that the engine takes."
    )
    api_key_file: Text | None = Field(None, description="File with the API key; never the key itself.")
    volumes: dict[str, Text] = Field(
        default_factory=dict, description="Directory on the node: path in the container, with :ro or :rw."
    )
    env: dict[str, Setting] = Field(default_factory=dict, description="Extra environment of the engine.")
    args: Annotated[dict[str, Argument], AfterValidator(_are_distinct)] = Field(
        default_factory=dict, description="Further engine flags, with or without `--`; null switches a default off."
    )


class RawInventory(_Section):
    """A cluster of DGX Sparks: nodes, cables, fabric and engine."""

    model_config = ConfigDict(title="sparkctl inventory, version 1")

    apiVersion: Literal["sparkctl/v1"] = Field(description="Version of this format.")
    kind: Literal["Cluster"]
    metadata: RawMetadata
    ssh: RawSsh = Field(default_factory=RawSsh)
    nodes: Annotated[list[RawNode], Field(min_length=1)] = Field(description="Order is rank; the first is the head.")
    links: list[Cable] = Field(description="One line per cable.")
    switches: list[RawSwitch] = Field(default_factory=list)
    fabric: RawFabric
    engine: RawEngine | None = Field(None, description="Left out: a fabric without an engine.")


def schema(kinds: tuple[str, ...]) -> dict[str, Any]:
    """The JSON Schema of an inventory, for editors; `kinds`: of engines."""
    made = RawInventory.model_json_schema()
    engine = made["$defs"]["RawEngine"]["properties"]
    engine["kind"] = dict(sorted({**engine["kind"], "enum": list(kinds)}.items()))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}
