"""Starts, watches and stops the processes of an exchange on one machine."""
