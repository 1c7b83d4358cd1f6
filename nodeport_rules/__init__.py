"""Compiles Kubernetes Services and their endpoints into the NAT rules of a Linux node."""

__version__ = "0.1.0"
