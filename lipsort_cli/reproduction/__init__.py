"""The paper's experiments as one command: jobs, what is asserted of them, the report."""
