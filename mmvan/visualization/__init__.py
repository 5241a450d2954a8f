"""Images of a training: curves of its log, and sheets of drawn predictions."""
