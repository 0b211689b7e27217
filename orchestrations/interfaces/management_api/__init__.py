"""The Durable Functions HTTP management API, wire-compatible, for programs that present a key.

Sessions do not authenticate here. Views of users' apps answer with the functions of ``orchestrations.http``.
"""
