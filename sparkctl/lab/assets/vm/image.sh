#!/bin/sh
# Runs in a chroot of the fresh image: makes a minimal Debian a virtual node of the lab. Nothing here starts anything.
# Leaves /boot/vmlinuz and /boot/initrd for QEMU, which loads them itself.
set -eu
lab=/opt/sparkctl-lab

# Each node gets its own identity, and its own keys, when it boots.
rm -f /var/lib/dbus/machine-id /etc/hostname /etc/ssh/ssh_host_*
: > /etc/machine-id

# The kernel, without the initrd and the boot loader that its package would make; of its modules, those of a node.
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p')
cd /tmp
apt-get -q download "$kernel"
dpkg -x "$kernel"_*.deb kernel
release=${kernel#linux-image-}
release=${release%-unsigned}
from=kernel/lib/modules/$release
to=/lib/modules/$release
mkdir -p "$to/kernel" /boot
cp kernel/boot/vmlinuz-"$release" /boot/vmlinuz
cp "$from"/modules.builtin "$from"/modules.builtin.modinfo "$from"/modules.order "$to"
cd "$from/kernel"
for part in crypto lib net fs/ext4 fs/jbd2 fs/mbcache.ko fs/overlayfs fs/fuse fs/configfs fs/autofs fs/binfmt_misc \
    arch/x86/crypto drivers/virtio drivers/infiniband/core drivers/infiniband/sw drivers/net/*.ko drivers/net/vxlan \
    drivers/block/virtio_blk.ko drivers/block/loop.ko drivers/char/virtio_console.ko \
    drivers/char/hw_random/virtio-rng.ko; do
    [ -e "$part" ] && cp -r --parents "$part" "$to/kernel/"
done
# Radio: whoever asks the kernel for its netdevs would load it.
for part in wireless mac80211 bluetooth rfkill nfc; do rm -rf "$to/kernel/net/$part"; done
cd /tmp
depmod "$release"

# The initrd: a few modules and one program, because the usual one takes ten seconds of an emulated processor.
tree=$(mktemp -d)
mkdir -p "$tree/bin" "$tree/dev" "$tree/proc" "$tree/sys" "$tree/root" "$tree/modules"
cp /bin/busybox "$tree/bin/busybox"
install -m 755 "$lab/initrd-init" "$tree/init"
for module in virtio_pci virtio_blk virtio_net virtio_rng ext4; do
    modprobe --set-version "$release" --show-depends "$module" | sed -n 's/^insmod //p'
done | awk '!seen[$1]++ {print $1}' | while read -r file; do
    cp "$file" "$tree/modules/"
    echo "${file##*/}" >> "$tree/modules/order"
done
(cd "$tree" && find . | /bin/busybox cpio -o -H newc) > /boot/initrd
rm -r "$tree" /tmp/kernel /tmp/*.deb "$lab/initrd-init"

# Nodes live for minutes and have no way out: nothing to update, trim, rotate or wait for. Their processors may be
# emulated, so nothing starts that neither sparkctl nor a person looks at.
systemctl disable e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    fstrim.timer systemd-pstore.service
systemctl mask systemd-networkd-wait-online.service getty@.service serial-getty@.service systemd-random-seed.service \
    systemd-update-utmp.service systemd-update-utmp-runlevel.service systemd-binfmt.service systemd-rfkill.socket \
    systemd-rfkill.service systemd-hwdb-update.service systemd-journal-catalog-update.service ldconfig.service \
    systemd-update-done.service systemd-journal-flush.service systemd-logind.service systemd-sysusers.service \
    systemd-network-generator.service rdma-ndd.service modprobe@.service sys-kernel-debug.mount \
    sys-kernel-tracing.mount sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount
systemctl enable systemd-networkd.service ssh.service lldpd.service sparkctl-lab-ready.service
mkdir -p /etc/systemd/system/systemd-udev-trigger.service.d
cat > /etc/systemd/system/systemd-udev-trigger.service.d/lab.conf <<'EOF'
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=all --action=add --subsystem-match=net --subsystem-match=block --subsystem-match=infiniband
EOF
# The initrd has mounted the disk, for reading and writing.
: > /etc/fstab
printf 'rdma_rxe\n' > /etc/modules-load.d/sparkctl-lab.conf
: > /etc/resolv.conf
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /var/log/apt /var/log/*.log \
    /var/cache/debconf/*-old
