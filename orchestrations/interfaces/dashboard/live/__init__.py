"""Live pages: what they watch (``topics``), who looks for all of them (``watching``), how they hear (``answering``)."""
