"""Programs that use the service, or that the service can use."""
