"""How much of a backend each job may use: fair between jobs, in one process or in all together."""
