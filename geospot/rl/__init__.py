"""Reinforcement learning from distances: environment, reward, rollouts, GRPO."""
