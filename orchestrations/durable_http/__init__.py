"""Durable HTTP's own side of the network: the built-in activity that sends one request of ``call_http``.

It reaches public addresses only, unless a setting allows more: whoever can put an address into an orchestration must
not thereby reach what is behind the firewall.
"""
