"""The theory of norm-constrained networks, executable: constructions and checked claims."""
