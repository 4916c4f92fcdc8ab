"""vLLM's server as a child of this process: started, waited for, started again, and stopped with us."""
