"""The Durable Functions HTTP management API, wire-compatible, for programs that present the system key.

Sessions do not authenticate here. Client functions answer with ``links.create_check_status_response``.
"""
