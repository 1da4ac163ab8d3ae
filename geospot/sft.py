"""Supervised fine-tuning: photos and the answers that a person would give."""
