"""The whole system on one machine, without root and without containers."""
