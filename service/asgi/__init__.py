"""The event loop: the server, its connections, and small requests answered without Flask."""
