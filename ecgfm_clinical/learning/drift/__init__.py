"""Whether something has changed since the model was made."""
