"""An app of functions for the cluster's tests, added to the site by DURABLE_APPS."""
