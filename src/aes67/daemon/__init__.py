"""`aes67-daemon`: the parent of the engine and the control process.

It starts both, starts either again when it dies, hands SIGTERM on, has the configuration read again
on SIGHUP and says nothing of audio. It imports next to nothing, so that nothing can go wrong in it.
"""

from aes67.daemon.child import Child as Child
from aes67.daemon.command_line import main as main
from aes67.daemon.parent import Daemon as Daemon
