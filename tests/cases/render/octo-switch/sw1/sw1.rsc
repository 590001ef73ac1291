# Made by sparkctl for sw1 of cluster octo. Do not edit: change the inventory and render again.
# MikroTik CRS812-8DS-2DQ-2DDQ, RouterOS 7. Copy the file to the switch, then: /import file-name=sw1.rsc
# It touches the ports below and their places in the bridge, nothing else. A second import changes nothing.
# A new l2mtu or speed takes the link down for some seconds: import it while the cluster is idle.
#   qsfp56-dd-1-1 <- spark-1:p1
#   qsfp56-dd-1-3 <- spark-2:p1
#   qsfp56-dd-1-5 <- spark-3:p1
#   qsfp56-dd-1-7 <- spark-4:p1
#   qsfp56-dd-2-1 <- spark-5:p1
#   qsfp56-dd-2-3 <- spark-6:p1
#   qsfp56-dd-2-5 <- spark-7:p1
#   qsfp56-dd-2-7 <- spark-8:p1

# 1. Keep what there was, once. The export is the best way back; sw1-rollback.rsc only knows factory values.
:if ([:len [/file/find where name~"before-sparkctl"]] = 0) do={
  /export file=before-sparkctl
  /system/backup/save name=before-sparkctl
}

# 2. Stop here, before anything has changed, if this is another switch or the ports belong to another bridge: only one
#    bridge is forwarded in hardware, and through a second one 196 Gb/s become 5.
:foreach leg in={"qsfp56-dd-1-1";"qsfp56-dd-1-3";"qsfp56-dd-1-5";"qsfp56-dd-1-7";"qsfp56-dd-2-1";"qsfp56-dd-2-3";"qsfp56-dd-2-5";"qsfp56-dd-2-7"} do={
  :if ([:len [/interface/ethernet/find where default-name=$leg]] = 0) do={
    :error "this switch has no port $leg"
  }
  :local ifname [/interface/ethernet/get [/interface/ethernet/find where default-name=$leg] name]
  :if ([:len [/interface/bridge/port/find where interface=$ifname and bridge!="bridge"]] > 0) do={
    :error "port $leg is in another bridge; the fabric needs one bridge for all its ports"
  }
}

# 3. Frames of 9216 bytes, the l2mtu before the mtu that it must hold. Auto-negotiation does not bring up a breakout,
#    so the lane master of each leg has its speed forced; the other lanes stay enabled and unconfigured. FEC stays on auto.
/interface/ethernet/set [find where default-name="qsfp56-dd-1-1" and l2mtu!=9216] l2mtu=9216
/interface/ethernet/set [find where default-name="qsfp56-dd-1-1"] mtu=9000 auto-negotiation=no speed=100G-baseCR2
/interface/ethernet/set [find where default-name="qsfp56-dd-1-3" and l2mtu!=9216] l2mtu=9216
/interface/ethernet/set [find where default-name="qsfp56-dd-1-3"] mtu=9000 auto-negotiation=no speed=100G-baseCR2
/interface/ethernet/set [find where default-name="qsfp56-dd-1-5" and l2mtu!=9216] l2mtu=9216
/interface/ethernet/set [find where default-name="qsfp56-dd-1-5"] mtu=9000 auto-negotiation=no speed=100G-baseCR2
/interface/ethernet/set [find where default-name="qsfp56-dd-1-7" and l2mtu!=9216] l2mtu=9216
/interface/ethernet/set [find where default-name="qsfp56-dd-1-7"] mtu=9000 auto-negotiation=no speed=100G-baseCR2
/interface/ethernet/set [find where default-name="qsfp56-dd-2-1" and l2mtu!=9216] l2mtu=9216
/interface/ethernet/set [find where default-name="qsfp56-dd-2-1"] mtu=9000 auto-negotiation=no speed=100G-baseCR2
/interface/ethernet/set [find where default-name="qsfp56-dd-2-3" and l2mtu!=9216] l2mtu=9216
/interface/ethernet/set [find where default-name="qsfp56-dd-2-3"] mtu=9000 auto-negotiation=no speed=100G-baseCR2
/interface/ethernet/set [find where default-name="qsfp56-dd-2-5" and l2mtu!=9216] l2mtu=9216
/interface/ethernet/set [find where default-name="qsfp56-dd-2-5"] mtu=9000 auto-negotiation=no speed=100G-baseCR2
/interface/ethernet/set [find where default-name="qsfp56-dd-2-7" and l2mtu!=9216] l2mtu=9216
/interface/ethernet/set [find where default-name="qsfp56-dd-2-7"] mtu=9000 auto-negotiation=no speed=100G-baseCR2

# 4. Every port in the one bridge, forwarded in hardware.
:if ([:len [/interface/bridge/find where name="bridge"]] = 0) do={
  /interface/bridge/add name=bridge comment=sparkctl
}
:foreach leg in={"qsfp56-dd-1-1";"qsfp56-dd-1-3";"qsfp56-dd-1-5";"qsfp56-dd-1-7";"qsfp56-dd-2-1";"qsfp56-dd-2-3";"qsfp56-dd-2-5";"qsfp56-dd-2-7"} do={
  :local ifname [/interface/ethernet/get [/interface/ethernet/find where default-name=$leg] name]
  :if ([:len [/interface/bridge/port/find where interface=$ifname]] = 0) do={
    /interface/bridge/port/add bridge=bridge interface=$ifname hw=yes comment=sparkctl
  }
  /interface/bridge/port/set [find where interface=$ifname and hw=no] hw=yes
}

:put "done; now: /import file-name=sw1-verify.rsc"
