# Made by sparkctl for sw1 of cluster dual-switch. Do not edit: change the inventory and render again.
# The inverse of sw1.rsc: what sparkctl added is removed, what it set goes back to the value of an untouched switch.
# Did the switch have values of its own before? Then prefer what was saved first: read before-sparkctl.rsc, or
# /system/backup/load name=before-sparkctl (which restarts the switch and undoes every later change, too).

# 1. What was added; a bridge of ours only when nobody else has put a port into it.
/interface/bridge/port/remove [find where comment="sparkctl"]
:if ([:len [/interface/bridge/port/find where bridge="bridge"]] = 0) do={
  /interface/bridge/remove [find where comment="sparkctl"]
}

# 2. What was set; the mtu before the l2mtu that holds it. With auto-negotiation the forced speed has no effect any more.
/interface/ethernet/set [find where default-name="qsfp56-dd-1-1"] mtu=1500 auto-negotiation=yes
/interface/ethernet/set [find where default-name="qsfp56-dd-1-1" and l2mtu!=1584] l2mtu=1584
/interface/ethernet/set [find where default-name="qsfp56-dd-1-5"] mtu=1500 auto-negotiation=yes
/interface/ethernet/set [find where default-name="qsfp56-dd-1-5" and l2mtu!=1584] l2mtu=1584

:put "rolled back; before-sparkctl.rsc and before-sparkctl.backup are still in /file"
