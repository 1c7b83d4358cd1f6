"""What the objects mean: service ports, endpoints, traffic policies, and the plan of a node.

Belongs here: pure functions from a `kube.Snapshot` and a node's settings to one `ServicePlan` for
each service port and family, which says where each kind of traffic goes. Does not belong here: how
a backend writes that down (`iptables`), or anything that asks the host.
"""
