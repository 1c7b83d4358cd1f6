"""The nftables backend: what kube-proxy's nftables mode does, in a layout that stays fast.

`names` makes names and numbers, `service_chains` and `dispatch` write rules and elements, `compile`
puts them together, `transaction` is the script for `nft -f`, `parse` reads what nft lists. Pure.

A packet's way, table `nodeport-rules` of its family (ip or ip6):

    before nat   KUBE-PROXY-FIREWALL    @firewall → KUBE-FW-…: sources a load balancer forbids
    nat          KUBE-SERVICES          marks what is to be masqueraded,
                                        @services → KUBE-SVC-…, KUBE-SVL-… or KUBE-EXT-…
                 KUBE-NODEPORTS         @node-ports → KUBE-EXT-… → KUBE-SVC-… or KUBE-SVL-…
                 KUBE-SVC-…             one of its endpoints by chance: dnat through @endpoints-…
                 KUBE-SEP-…             only with session affinity: remembers the client, dnat
    filter       KUBE-…-ENDPOINTS       refuses and drops what has no endpoints
                 KUBE-CLUSTER-IPS       refuses ports and drops addresses that no Service has
    postrouting  KUBE-POSTROUTING       masquerades what is marked, and hairpins

Others may rely on the table's name, the KUBE-SVC, KUBE-SVL, KUBE-EXT, KUBE-FW and KUBE-SEP names
(those of iptables mode) and on the counters of `endpoints-…`; the rest may change.
"""
