"""The whole system as processes on one machine: what `landmarks up` runs."""
