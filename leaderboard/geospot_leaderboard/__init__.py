"""Ranks evaluation results, compares them in pairs and exports them."""
