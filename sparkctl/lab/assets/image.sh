#!/bin/sh
# Runs in a chroot of the fresh image: what makes a minimal Debian a node of the lab. Nothing here starts anything.
set -eu
lab=/opt/sparkctl-lab

# Each node gets its own identity, and its own keys, when it boots.
rm -f /etc/machine-id /var/lib/dbus/machine-id /etc/hostname /etc/ssh/ssh_host_* /etc/resolv.conf
: > /etc/resolv.conf

# A node shares its kernel with the machine it runs on: it must not set that machine's sysctls, nor replay its devices.
rm -f /usr/lib/sysctl.d/*.conf /etc/sysctl.d/*.conf
mkdir -p /etc/systemd/system/systemd-udev-trigger.service.d /etc/systemd/system/docker.service.d
cat > /etc/systemd/system/systemd-udev-trigger.service.d/lab.conf <<'EOF'
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=all --action=add --subsystem-match=net
EOF
systemctl mask sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount sys-fs-fuse-connections.mount \
    dev-hugepages.mount console-getty.service getty@.service

# Nodes live for minutes and have no way out: nothing to update, trim or rotate.
systemctl disable e2scrub_reap.service apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    fstrim.timer
systemctl enable systemd-networkd.service ssh.service lldpd.service docker.service

# overlayfs does not lie on overlayfs: Docker gets a file system of its own.
echo 'tmpfs /var/lib/docker tmpfs size=2G,mode=0710 0 0' > /etc/fstab
cat > /etc/systemd/system/docker.service.d/lab.conf <<EOF
[Service]
ExecStartPre=$lab/cgroups.sh
EOF
mkdir -p /etc/docker
printf '{"runtimes": {"lab": {"path": "%s/runc-within-limits"}}, "default-runtime": "lab"}\n' $lab > /etc/docker/daemon.json

# The engine's image is a skeleton: /usr of the node and the engine are mounted into it, read-only.
mkdir -p $lab/engine $lab/skeleton
cd $lab/skeleton
mkdir -p dev etc proc root run sys usr var/tmp $lab/engine
mkdir -m 1777 tmp
for name in bin sbin lib lib64; do ln -s usr/$name $name; done
printf 'root:x:0:0:root:/root:/bin/sh\n' > etc/passwd
printf 'root:x:0:\n' > etc/group
# Packed once, without a clock, so that all nodes have one image id, as they must.
cd $lab
tar -C skeleton --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -c . > layer.tar
layer=$(sha256sum < layer.tar | cut -d ' ' -f 1)
arch=$(dpkg --print-architecture)
printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":{"Env":["PATH=%s"]},%s,%s}' "$arch" \
    "$lab/engine/bin:/usr/bin:/bin" '"history":[{"created":"1970-01-01T00:00:00Z"}]' \
    "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"sha256:$layer\"]}" > config.json
printf '[{"Config":"config.json","RepoTags":null,"Layers":["layer.tar"]}]' > manifest.json
tar -c manifest.json config.json layer.tar > image.tar
sha256sum < config.json | cut -d ' ' -f 1 > image.id
rm -r layer.tar config.json manifest.json skeleton
cat > /etc/systemd/system/sparkctl-lab-image.service <<EOF
[Unit]
Description=Load the image of the lab's engine
Requires=docker.service
After=docker.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -ec 'docker load --quiet --input $lab/image.tar; docker tag sha256:\$(cat $lab/image.id) \$(cat $lab/image)'
[Install]
WantedBy=multi-user.target
EOF
rm -rf /var/cache/apt/archives /var/lib/apt/lists/* /usr/share/doc /usr/share/man /usr/share/locale /var/log/*.log
mkdir -p /var/cache/apt/archives/partial
