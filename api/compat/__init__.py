"""The REST contract of the AES67 daemon: routes, bodies, codes and texts as clients know them."""
