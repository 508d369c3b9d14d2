"""Long work as jobs: accepted here, done by workers, whose results any replica answers."""
