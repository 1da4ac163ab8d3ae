"""Run directories in tinker-cookbook's layout: what a training run leaves behind."""
