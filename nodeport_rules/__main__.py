"""`python -m nodeport_rules` is the command `nodeport-rules`."""

from nodeport_rules.cli.main import main

main()
