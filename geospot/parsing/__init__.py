"""Model text to outcome, coordinates and place names."""
