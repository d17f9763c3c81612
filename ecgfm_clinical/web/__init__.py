"""The operators' console: what the command line tells and does, on pages that people sign in to."""
