"""Search for hyperparameters on Optuna: trials that are trained, and never judged."""
