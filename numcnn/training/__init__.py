"""How a network learns: the loop, its settings, optimisers, schedules, a run's folder."""
