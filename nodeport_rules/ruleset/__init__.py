"""Rules as data, whatever the backend: tables, chains, and what can be said of them.

Belongs here: values and pure functions over them. Does not belong here: Services, or how one
program spells a rule.
"""
