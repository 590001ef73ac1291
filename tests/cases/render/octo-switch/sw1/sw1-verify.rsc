# Made by sparkctl for sw1 of cluster octo. Do not edit: change the inventory and render again.
# It only prints. Import it, and compare with what each heading says.

:put "qsfp56-dd-1-1, the cable of spark-1:p1: status link-ok, rate 100Gbps, fec fec91"
/interface/ethernet/monitor [find where default-name="qsfp56-dd-1-1"] once
:put "qsfp56-dd-1-3, the cable of spark-2:p1: status link-ok, rate 100Gbps, fec fec91"
/interface/ethernet/monitor [find where default-name="qsfp56-dd-1-3"] once
:put "qsfp56-dd-1-5, the cable of spark-3:p1: status link-ok, rate 100Gbps, fec fec91"
/interface/ethernet/monitor [find where default-name="qsfp56-dd-1-5"] once
:put "qsfp56-dd-1-7, the cable of spark-4:p1: status link-ok, rate 100Gbps, fec fec91"
/interface/ethernet/monitor [find where default-name="qsfp56-dd-1-7"] once
:put "qsfp56-dd-2-1, the cable of spark-5:p1: status link-ok, rate 100Gbps, fec fec91"
/interface/ethernet/monitor [find where default-name="qsfp56-dd-2-1"] once
:put "qsfp56-dd-2-3, the cable of spark-6:p1: status link-ok, rate 100Gbps, fec fec91"
/interface/ethernet/monitor [find where default-name="qsfp56-dd-2-3"] once
:put "qsfp56-dd-2-5, the cable of spark-7:p1: status link-ok, rate 100Gbps, fec fec91"
/interface/ethernet/monitor [find where default-name="qsfp56-dd-2-5"] once
:put "qsfp56-dd-2-7, the cable of spark-8:p1: status link-ok, rate 100Gbps, fec fec91"
/interface/ethernet/monitor [find where default-name="qsfp56-dd-2-7"] once

:put "l2mtu 9216 and mtu 9000 on each of:"
/interface/ethernet/print proplist=name,l2mtu,mtu where default-name="qsfp56-dd-1-1"
/interface/ethernet/print proplist=name,l2mtu,mtu where default-name="qsfp56-dd-1-3"
/interface/ethernet/print proplist=name,l2mtu,mtu where default-name="qsfp56-dd-1-5"
/interface/ethernet/print proplist=name,l2mtu,mtu where default-name="qsfp56-dd-1-7"
/interface/ethernet/print proplist=name,l2mtu,mtu where default-name="qsfp56-dd-2-1"
/interface/ethernet/print proplist=name,l2mtu,mtu where default-name="qsfp56-dd-2-3"
/interface/ethernet/print proplist=name,l2mtu,mtu where default-name="qsfp56-dd-2-5"
/interface/ethernet/print proplist=name,l2mtu,mtu where default-name="qsfp56-dd-2-7"

:put "one bridge, and the flag H (forwarded in hardware) on each of the same ports:"
:foreach leg in={"qsfp56-dd-1-1";"qsfp56-dd-1-3";"qsfp56-dd-1-5";"qsfp56-dd-1-7";"qsfp56-dd-2-1";"qsfp56-dd-2-3";"qsfp56-dd-2-5";"qsfp56-dd-2-7"} do={
  :local ifname [/interface/ethernet/get [/interface/ethernet/find where default-name=$leg] name]
  /interface/bridge/port/print where interface=$ifname
}
:put "is there a second bridge with ports in hardware? Then only one of the two is really offloaded."
/interface/bridge/print
