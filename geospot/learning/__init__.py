"""What supervised and reinforcement learning share: schedules, data order, the model in training."""
