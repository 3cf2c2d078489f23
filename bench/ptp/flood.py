"""A flood of multicast packets, in bursts of a millisecond: `python -m bench.ptp.flood p0 12`."""

from __future__ import annotations

import socket
import sys
import time

GROUP = ("239.9.9.9", 9999)


def main() -> int:
    """Entry point: interface, packets in each millisecond; runs until it is killed."""
    interface, burst = sys.argv[1], int(sys.argv[2])
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
    data = bytes(800)
    while True:
        for _ in range(burst):
            try:
                sock.sendto(data, GROUP)
            except OSError:
                break
        time.sleep(0.001)


if __name__ == "__main__":
    raise SystemExit(main())
