"""Reinforcement learning: GRPO with a reward that falls with distance."""
