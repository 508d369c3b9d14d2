"""Everything that needs Flask: the routes, one module per family of paths."""
