"""The command line: one thin module a command; what they share is beside them."""
