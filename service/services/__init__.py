"""From bytes to points, and from predictions to bytes, in every format and protocol."""
