#!/bin/sh
# Runs in a chroot of the image, in a layer of its own: NetworkManager instead of networkd, as on DGX OS.
set -eu
[ -d /opt/sparkctl-lab ] || { echo "this is not a chroot of the node image" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get -q update
apt-get -qy install --no-install-recommends network-manager
systemctl disable systemd-networkd.service
# Nobody waits for ports that ask for an address in vain.
systemctl disable NetworkManager-wait-online.service

# Ubuntu's: only Wi-Fi is NetworkManager's, until netplan's global renderer says otherwise.
cat > /usr/lib/NetworkManager/conf.d/10-globally-managed-devices.conf <<'EOF'
[keyfile]
unmanaged-devices=*,except:type:wifi,except:type:gsm,except:type:cdma
EOF
# The fabric's netdevs are veth here and real cards on a Spark: NetworkManager is to take them, and leave Docker's alone.
sed 's/ENV{INTERFACE}!="eth\[0-9\]\*"/ENV{INTERFACE}=="veth*"/' /usr/lib/udev/rules.d/85-nm-unmanaged.rules \
    > /etc/udev/rules.d/85-nm-unmanaged.rules
grep -q '=="veth\*", ENV{NM_UNMANAGED}' /etc/udev/rules.d/85-nm-unmanaged.rules
apt-get clean
rm -rf /var/lib/apt/lists/* /usr/share/doc/* /usr/share/man/* /usr/share/locale/* /var/log/apt /var/log/*.log \
    /var/cache/debconf/*-old
