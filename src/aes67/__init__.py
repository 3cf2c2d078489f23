"""Userspace AES67 / RAVENNA / AVTP endpoint: importing this package alone pulls in nothing."""
