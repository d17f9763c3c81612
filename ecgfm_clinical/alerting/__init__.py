"""Telling a site that no monitor watches what is wrong with its installation."""
