"""The site: settings, addresses, and what runs it. The orchestrations app does not know it."""
