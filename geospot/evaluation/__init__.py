"""Asks a backend about every selected image and says honestly how good the answers are."""
