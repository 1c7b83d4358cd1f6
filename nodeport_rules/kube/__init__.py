"""What the cluster says: the fields used of its objects, read from files, folders and streams.

Belongs here: the structs, reading and checking them, what the API server would fill in, and what
is assumed where manifests say nothing (addresses, node ports, endpoints). Does not belong here:
what any of it means for a packet (`model`).
"""
