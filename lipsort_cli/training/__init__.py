"""One engine for every task, the classifier's task, losses and what is measured on the way."""
