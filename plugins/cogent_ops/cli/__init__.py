"""``cogent-ops``: what people do on the command line. Every command is one service call.

Exit codes: 0 done, 1 a person must act (the message says what), 75 try again later.
"""

from cogent_ops.cli.command_line import TRY_AGAIN, main, parser

__all__ = ["TRY_AGAIN", "main", "parser"]
