"""The only room that touches the host: processes, sockets, netlink, namespaces, sysctls.

Belongs here: running iptables-restore and iptables-save, netlink through pyroute2, and the sandbox
of network namespaces that the demo and the tests use. Does not belong here: what the rules are.
"""
