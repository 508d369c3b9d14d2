"""Long work as jobs: accepted by servers, done by workers, answered by any replica."""
