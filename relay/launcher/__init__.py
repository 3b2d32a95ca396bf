"""Parts of the launcher: plan, processes, supervisor, terminal output, diagnosis."""
