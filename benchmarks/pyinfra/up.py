"""The network part of `up` as a pyinfra deploy: the files of the node, and netplan when one of them changed."""

from pyinfra import host
from pyinfra.operations import files, server

put = [
    files.put(name=path, src=source, dest=path, mode="600" if "netplan" in path else "644", user="root", group="root")
    for path, source in host.data.files.items()
]
server.shell(name="netplan apply", commands=["netplan apply"], _if=lambda: any(one.did_change() for one in put))
