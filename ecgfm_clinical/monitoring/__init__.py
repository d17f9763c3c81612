"""What other programs may ask of a running process: is it alive, is it ready, and its numbers in Prometheus' form."""
