"""What becomes of packets under kube-proxy's recorded rules and under ours, in a real kernel.

`recordings` says which rules to load, `probes` which packets to send, `node` is the machine that
they go through, `decisions` what became of them, `mode_differences` where the two modes may differ.
"""
