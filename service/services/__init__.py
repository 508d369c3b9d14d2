"""From a request to the model's inputs, and from the model's outputs to an answer."""
