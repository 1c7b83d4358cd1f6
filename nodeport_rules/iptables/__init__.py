"""The iptables backend: the rules of kube-proxy's iptables mode, to the letter.

`names` makes chain names, `service_chains` and `dispatch` write the rules (look for the chain's
name), `compile` puts them together, `transaction` is the text for iptables-restore, `parse` reads
iptables-save. All pure.

A packet's way, table nat:

    PREROUTING, OUTPUT → KUBE-SERVICES ─ cluster IP ──────────────→ KUBE-SVC-… (KUBE-SVL-…)
                          │            ─ external IP ─→ KUBE-EXT-… ↗      │ one of, by chance
                          │            ─ load-balancer IP → KUBE-FW-… ↗   ↓
                          └ local address → KUBE-NODEPORTS → KUBE-EXT-…  KUBE-SEP-… → DNAT
    POSTROUTING → KUBE-POSTROUTING: masquerades what KUBE-MARK-MASQ has marked

Table filter refuses and drops what has no endpoints (KUBE-SERVICES, KUBE-EXTERNAL-SERVICES) or
comes from a source that a load balancer does not allow (KUBE-PROXY-FIREWALL).
"""
