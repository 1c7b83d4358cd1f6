"""What people and programs read of rules: tables, JSON, Markdown, HTML, graphs. Pure.

Does not belong here: deciding anything about rules.
"""
