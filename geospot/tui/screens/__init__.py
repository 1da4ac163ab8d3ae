"""A module a screen: what it shows, its keys, and what it reads."""
