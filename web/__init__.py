"""The browser page as package data; nothing is imported from here."""
