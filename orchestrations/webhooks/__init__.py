"""Signed webhooks: how requests are signed, how secrets are kept, and how messages go out. Nothing comes in here."""
