#!/bin/sh
# systemd-nspawn mounts cgroup v1 controllers read-only; dockerd writes to them. Nothing is wanted on pure cgroup v2.
[ -e /sys/fs/cgroup/cgroup.controllers ] && exit 0
mount -o remount,rw /sys/fs/cgroup
for controller in /sys/fs/cgroup/*; do
    # without `bind` the kernel changes the whole hierarchy, and answers busy
    mount -o remount,rw,bind "$controller" || true
done
