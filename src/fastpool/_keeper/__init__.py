"""The maintenance of all pools of the process: one thread that plans, and helpers that do what may block."""
